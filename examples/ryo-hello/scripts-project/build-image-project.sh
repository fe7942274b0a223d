#!/bin/bash
# Builds the image of this project: ./build-image-project.sh -n HOST -v VERSION
hello_version='1.0.0'
exec ryo image build "$(dirname "$0")/../image-build" "$@" -e "hello_version=$hello_version"
