# Input

variable "host_id" {
  description = "The host to deploy to."
  type        = string
}

variable "image_version" {
  description = "The version stamp of the image."
  type        = string
}

# Configuration files

locals {
  project_configuration_file = join("", ["${abspath(path.root)}/../configuration/configuration_", var.host_id, ".yml"])
  host_configuration_file    = join("", ["${abspath(path.root)}/../../ryo-host/configuration/configuration_", var.host_id, ".yml"])
}

# The project

locals {
  project_id              = yamldecode(file(local.project_configuration_file))["project_id"]
  project_domain_name     = yamldecode(file(local.project_configuration_file))["project_domain_name"]
  hello_ip_addr_host_part = yamldecode(file(local.project_configuration_file))["hello_ip_addr_host_part"]
  hello_direct_port       = yamldecode(file(local.project_configuration_file))["hello_direct_port"]
}

# The host

locals {
  host_control_ip              = yamldecode(file(local.host_configuration_file))["host_control_ip"]
  host_public_ipv6             = yamldecode(file(local.host_configuration_file))["host_public_ipv6"]
  host_public_ipv6_prefix      = yamldecode(file(local.host_configuration_file))["host_public_ipv6_prefix"]
  host_public_ipv6_address     = yamldecode(file(local.host_configuration_file))["host_public_ipv6_address"]
  lxd_host_network_part        = yamldecode(file(local.host_configuration_file))["lxd_host_network_part"]
  lxd_host_network_ipv6_subnet = yamldecode(file(local.host_configuration_file))["lxd_host_network_ipv6_subnet"]
  lxd_host_private_ipv6_prefix = yamldecode(file(local.host_configuration_file))["lxd_host_private_ipv6_prefix"]
}

locals {
  lxd_host_ipv6_prefix = ( local.host_public_ipv6 == true ? local.host_public_ipv6_prefix : local.lxd_host_private_ipv6_prefix )
}

# Addresses of the container

locals {
  hello_ipv4 = join(".", [ local.lxd_host_network_part, local.hello_ip_addr_host_part ])
  hello_ipv6 = join("", [ local.lxd_host_ipv6_prefix, "::", local.lxd_host_network_ipv6_subnet, ":", local.hello_ip_addr_host_part ])
}
