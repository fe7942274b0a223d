# The image of the web proxy.

variable "host_id" {
  description = "The host that the image is for."
  type        = string
}

variable "version" {
  description = "The version stamp of the image."
  type        = string
}

variable "remote" {
  description = "Whether the image is built on the host."
  type        = bool
  default     = false
}

variable "haproxy_version" {
  description = "The series of HAProxy that the configuration is written for."
  type        = string
}

locals {
  service_name       = "web-proxy"
  configuration_file = "${abspath(path.root)}/../configuration/configuration.yml"
  module_id          = yamldecode(file(local.configuration_file))["module_id"]
}

locals {
  build_image_os      = "debian"
  build_image_release = "12"
  build_image         = join("/", [local.build_image_os, local.build_image_release])
}

locals {
  build_container_name = var.remote ? "${var.host_id}:packer-lxd-build" : "packer-lxd-build"
  build_inventory_file = "${abspath(path.root)}/playbooks/inventory.yml"
  build_playbook_file  = "${abspath(path.root)}/playbooks/provision-web-proxy.yml"
  build_extra_vars     = "host_id=${var.host_id} module_id=${local.module_id} haproxy_version=${var.haproxy_version}"
  remote_argument      = "ansible_lxd_remote=${var.host_id}"
}

locals {
  output_image_name        = "${ join("-", [ local.module_id, local.service_name, var.version ]) }"
  output_image_description = "${ join("", [ local.build_image, " image for ", local.service_name, " - v ", var.version ]) }"
}

source "lxd" "container" {
  image               = local.build_image
  profile             = "build"
  container_name      = local.build_container_name
  output_image        = local.output_image_name
  publish_remote_name = var.host_id
  publish_properties = {
    description = local.output_image_description
    os          = local.build_image_os
    release     = local.build_image_release
  }
}

build {
  sources = ["source.lxd.container"]

  provisioner "ansible" {
    inventory_file  = local.build_inventory_file
    playbook_file   = local.build_playbook_file
    extra_arguments = var.remote ? ["-e", local.remote_argument, "--extra-vars", local.build_extra_vars] : ["--extra-vars", local.build_extra_vars]
  }
}
