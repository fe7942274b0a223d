variable "host_id" {
  type = string
}
variable "version" {
  type = string
}
variable "remote" {
  type    = bool
  default = false
}
variable "greeting_version" {
  type = string
}
locals {
  service_name = "store"
  module_id = yamldecode(file("${abspath(path.root)}/../configuration/configuration.yml"))["module_id"]
}
locals {
  build_extra_vars  = join(" ", ["host_id=${var.host_id}", "module_id=${local.module_id}", "greeting_version=${var.greeting_version}"])
  output_image_name = join("-", [local.module_id, local.service_name, var.version])
}
source "lxd" "container" {
  image               = "tiny"
  profile             = "build"
  container_name      = ( var.remote ? "${var.host_id}:packer-lxd-build" : "packer-lxd-build" )
  output_image        = local.output_image_name
  publish_remote_name = var.host_id
  publish_properties = {
    description = join(" ", ["tiny image for", local.service_name, "- v", var.version])
    os          = "tiny"
    release     = "1"
  }
}
build {
  sources = ["source.lxd.container"]
  provisioner "ansible" {
    inventory_file  = "${abspath(path.root)}/playbooks/inventory.yml"
    playbook_file   = "${abspath(path.root)}/playbooks/provision-store.yml"
    extra_arguments = ["--extra-vars", local.build_extra_vars]
  }
}
