#!/bin/bash
# Deploys this module: ./deploy.sh -n HOST [-v VERSION]
exec ryo deploy "$(dirname "$0")" "$@"
