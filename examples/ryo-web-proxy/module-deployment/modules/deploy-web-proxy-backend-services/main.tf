# Tells the web proxy of web applications.

terraform {
  required_providers {
    consul = {
      source  = "hashicorp/consul"
      version = "~> 2.12.0"
    }
  }
}

variable "backend_services" {
  description = "Web applications by name, each with its address and port."
  type = map(object({
    address = string
    port    = number
  }))
  default = {}
}

resource "consul_keys" "backend" {
  for_each = var.backend_services

  key {
    path   = join("", [ "service/web-proxy/backends/", each.key ])
    value  = join(":", [ each.value["address"], each.value["port"] ])
    delete = true
  }
}
