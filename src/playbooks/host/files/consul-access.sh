#!/bin/sh
# Lets everybody read keys and enter services, and nobody write keys but who has the token in /var/lib/ryo/consul.token.
# Prints what it changed.
set -eu
umask 077
export CONSUL_HTTP_ADDR=127.0.0.1:8500 CONSUL_HTTP_TOKEN_FILE=/var/lib/ryo/consul.token
everybody=00000000-0000-0000-0000-000000000002

# The first token is given out once. Where it was lost on the way, Consul has to be told to give out another.
first_token() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        said=$(curl --silent --show-error --max-time 10 --request PUT "http://$CONSUL_HTTP_ADDR/v1/acl/bootstrap" 2>&1) || true
        case $said in
        *'"SecretID"'*)
            printf '%s' "$said" | tr ',' '\n' | sed -n 's/.*"SecretID": *"\([^"]*\)".*/\1/p' >"$CONSUL_HTTP_TOKEN_FILE.new"
            mv "$CONSUL_HTTP_TOKEN_FILE.new" "$CONSUL_HTTP_TOKEN_FILE"
            echo "first token"
            return
            ;;
        *'reset index: '*)
            index=${said##*reset index: }
            printf '%s' "${index%%)*}" >/var/consul/acl-bootstrap-reset
            chown consul: /var/consul/acl-bootstrap-reset
            ;;
        esac
        sleep 1
    done
    echo "Consul gives out no token: $said" >&2
    exit 1
}

[ -s "$CONSUL_HTTP_TOKEN_FILE" ] || first_token
if ! consul acl policy read -name ryo-everybody >/dev/null 2>&1; then
    consul acl policy create -name ryo-everybody -description "Set by ryo" -rules - >/dev/null <<'END'
agent_prefix "" { policy = "read" }
key_prefix "" { policy = "read" }
node_prefix "" { policy = "write" }
query_prefix "" { policy = "read" }
service_prefix "" { policy = "write" }
END
    echo policy
fi
if ! consul acl token read -id "$everybody" | grep -q ryo-everybody; then
    consul acl token update -id "$everybody" -policy-name ryo-everybody -merge-policies >/dev/null
    echo "everybody's token"
fi
