#!/bin/sh
echo "hello $1"
exit ${2:-0}
