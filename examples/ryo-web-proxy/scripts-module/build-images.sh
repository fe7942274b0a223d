#!/bin/bash
# Builds the image of this module: ./build-images.sh -n HOST -v VERSION

# Read by ryo: the versions stand here and nowhere else.
haproxy_version='2.6'

exec ryo image build "$(dirname "$0")/../image-build/web-proxy.pkr.hcl" "$@"
