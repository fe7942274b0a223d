#!/bin/bash
# Deploys this project with the modules that it needs: ./deploy.sh -n HOST [-v VERSION]

# Read by ryo: the modules, in the order in which they are deployed.
MODULES="ryo-web-proxy"

exec ryo deploy "$(dirname "$0")" "$@"
