# The container of the web proxy: one of the two, by whether the host has public IPv6 addresses

resource "lxd_container" "web-proxy-v6" {

  count = ( local.host_public_ipv6 == true ? 1 : 0 )

  remote   = var.host_id
  name     = "web-proxy"
  image    = join("-", [ local.module_id, "web-proxy", var.image_version ])
  profiles = ["default"]

  config = {
    "security.privileged": "false"
    "user.user-data" = file("cloud-init/cloud-init-basic.yml")
  }

  # Network with addresses that do not change
  device {
    name = "eth0"
    type = "nic"

    properties = {
      name           = "eth0"
      network        = var.host_id
      "ipv4.address" = local.web_proxy_ipv4
      "ipv6.address" = local.web_proxy_ipv6
    }
  }

  # Requests to the host go to the container
  device {
    name = "proxy0"
    type = "proxy"

    properties = {
      listen  = join("", ["tcp:", local.host_control_ip, ":", local.web_proxy_http_port])
      connect = join("", ["tcp:", local.web_proxy_ipv4, ":80"])
      nat     = "yes"
    }
  }

  device {
    name = "proxy1"
    type = "proxy"

    properties = {
      listen  = join("", ["tcp:[", local.host_public_ipv6_address, "]:", local.web_proxy_http_port])
      connect = join("", ["tcp:[", local.web_proxy_ipv6, "]:80"])
      nat     = "yes"
    }
  }

  # The last configuration that worked
  device {
    name = "state"
    type = "disk"

    properties = {
      source   = join("", ["/var/containers/", local.module_id, "/web-proxy/state"])
      path     = "/var/lib/web-proxy"
      readonly = "false"
      shift    = "true"
    }
  }
}

resource "lxd_container" "web-proxy-v4" {

  count = ( local.host_public_ipv6 == true ? 0 : 1 )

  remote   = var.host_id
  name     = "web-proxy"
  image    = join("-", [ local.module_id, "web-proxy", var.image_version ])
  profiles = ["default"]

  config = {
    "security.privileged": "false"
    "user.user-data" = file("cloud-init/cloud-init-basic.yml")
  }

  # Network with addresses that do not change
  device {
    name = "eth0"
    type = "nic"

    properties = {
      name           = "eth0"
      network        = var.host_id
      "ipv4.address" = local.web_proxy_ipv4
      "ipv6.address" = local.web_proxy_ipv6
    }
  }

  # Requests to the host go to the container
  device {
    name = "proxy0"
    type = "proxy"

    properties = {
      listen  = join("", ["tcp:", local.host_control_ip, ":", local.web_proxy_http_port])
      connect = join("", ["tcp:", local.web_proxy_ipv4, ":80"])
      nat     = "yes"
    }
  }

  # The last configuration that worked
  device {
    name = "state"
    type = "disk"

    properties = {
      source   = join("", ["/var/containers/", local.module_id, "/web-proxy/state"])
      path     = "/var/lib/web-proxy"
      readonly = "false"
      shift    = "true"
    }
  }
}
