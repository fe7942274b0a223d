variable "host_id" {
  description = "The host."
  type        = string
}
variable "image_version" {
  type = string
}
locals {
  host_configuration = "${abspath(path.root)}/../../ryo-host/configuration/configuration_${var.host_id}.yml"
  configuration      = "${abspath(path.root)}/../configuration/configuration.yml"
  module_id            = yamldecode(file(local.configuration))["module_id"]
  network_part       = yamldecode(file(local.host_configuration))["lxd_host_network_part"]
  network_subnet     = yamldecode(file(local.host_configuration))["lxd_host_network_ipv6_subnet"]
  network_prefix     = yamldecode(file(local.host_configuration))["lxd_host_private_ipv6_prefix"]
}
