#!/bin/bash
MODULES="ryo-tiny-store"
exec ryo deploy "$(dirname "$0")" "$@"
