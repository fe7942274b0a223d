#!/bin/bash
greeting_version="1.2.3"
packer build -var "greeting_version=$greeting_version" "$(dirname "$0")/../image-build/tiny.pkr.hcl"
