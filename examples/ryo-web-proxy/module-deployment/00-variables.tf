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
  module_configuration = yamldecode(file("${abspath(path.root)}/../configuration/configuration.yml"))
  host_configuration   = yamldecode(file(join("", ["${abspath(path.root)}/../../ryo-host/configuration/configuration_", var.host_id, ".yml"])))
}

# The module

locals {
  module_id                   = local.module_configuration["module_id"]
  web_proxy_ip_addr_host_part = local.module_configuration["web_proxy_ip_addr_host_part"]
  web_proxy_http_port         = local.module_configuration["web_proxy_http_port"]
}

# The host

locals {
  host_control_ip              = local.host_configuration["host_control_ip"]
  host_public_ipv6             = local.host_configuration["host_public_ipv6"]
  host_public_ipv6_prefix      = local.host_configuration["host_public_ipv6_prefix"]
  host_public_ipv6_address     = local.host_configuration["host_public_ipv6_address"]
  lxd_host_network_part        = local.host_configuration["lxd_host_network_part"]
  lxd_host_network_ipv6_subnet = local.host_configuration["lxd_host_network_ipv6_subnet"]
  lxd_host_private_ipv6_prefix = local.host_configuration["lxd_host_private_ipv6_prefix"]
  lxd_host_ipv6_prefix         = ( local.host_public_ipv6 == true ? local.host_public_ipv6_prefix : local.lxd_host_private_ipv6_prefix )
}

# Addresses of the container

locals {
  web_proxy_ipv4 = join(".", [ local.lxd_host_network_part, local.web_proxy_ip_addr_host_part ])
  web_proxy_ipv6 = join("", [ local.lxd_host_ipv6_prefix, "::", local.lxd_host_network_ipv6_subnet, ":", local.web_proxy_ip_addr_host_part ])
}
