#!/bin/bash
# Builds the image of this project: ./build-image-project.sh -n HOST -v VERSION

# Read by ryo: the versions stand here and nowhere else.
hello_version='1.0.0'

exec ryo image build "$(dirname "$0")/../image-build/hello.pkr.hcl" "$@"
