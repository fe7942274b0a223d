#!/bin/bash
exec ryo deploy "$(dirname "$0")" "$@"
