#!/bin/bash
# Deploys this project with the modules that it needs: ./deploy.sh -n HOST [-v VERSION]
MODULES="ryo-web-proxy"
exec ryo deploy "$(dirname "$0")" "$@"
