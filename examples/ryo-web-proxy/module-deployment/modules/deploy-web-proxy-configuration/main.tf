terraform {
  required_providers {
    consul = {
      source  = "hashicorp/consul"
      version = "~> 2.12.0"
    }
  }
}

resource "consul_keys" "host-only-acl" {
  for_each = var.web-proxy_host_only_acls

  key {
    path   = join("", [ "service/web-proxy/acl/", each.key, "/host" ])
    value  = each.value["host"]
    delete = true
  }
}

resource "consul_keys" "path-only-acl" {
  for_each = var.web-proxy_path_only_acls

  key {
    path   = join("", [ "service/web-proxy/acl/", each.key, "/path" ])
    value  = each.value["path"]
    delete = true
  }
}

resource "consul_keys" "host-path-acl" {
  for_each = var.web-proxy_host_path_acls

  key {
    path   = join("", [ "service/web-proxy/acl/", each.key, "/host" ])
    value  = each.value["host"]
    delete = true
  }

  key {
    path   = join("", [ "service/web-proxy/acl/", each.key, "/path" ])
    value  = each.value["path"]
    delete = true
  }
}

resource "consul_keys" "deny" {
  for_each = toset(var.web-proxy_acl_denys)

  # That the key is there says it all.
  key {
    path   = join("", [ "service/web-proxy/deny/", each.key ])
    value  = ""
    delete = true
  }
}

resource "consul_keys" "redirect" {
  for_each = var.web-proxy_acl_redirects

  key {
    path   = join("", [ "service/web-proxy/redirect/", each.key ])
    value  = each.value["prefix"]
    delete = true
  }
}

resource "consul_keys" "use-backend" {
  for_each = var.web-proxy_acl_use-backends

  key {
    path   = join("", [ "service/web-proxy/use-backend/", each.key ])
    value  = each.value["backend_service"]
    delete = true
  }
}
