#!/bin/bash
# Builds the image of this module: ./build-images.sh -n HOST -v VERSION
haproxy_version='2.6'
exec ryo image build "$(dirname "$0")/../image-build" "$@" -e "haproxy_version=$haproxy_version"
