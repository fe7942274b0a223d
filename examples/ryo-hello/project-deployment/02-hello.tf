# The container of the web application: one of the two, by whether the host has public IPv6 addresses

resource "lxd_container" "hello-v6" {

  count = ( local.host_public_ipv6 == true ? 1 : 0 )

  remote   = var.host_id
  name     = "hello"
  image    = join("-", [ local.project_id, "hello", var.image_version ])
  profiles = ["default"]

  config = {
    "security.privileged": "false"
    "user.user-data" = file("cloud-init/cloud-init-hello.yml")
    "user.ryo.health" = "http://:8000/health"
  }

  # Network with addresses that do not change
  device {
    name = "eth0"
    type = "nic"

    properties = {
      name           = "eth0"
      network        = var.host_id
      "ipv4.address" = local.hello_ipv4
      "ipv6.address" = local.hello_ipv6
    }
  }

  # Requests past the web proxy
  device {
    name = "proxy0"
    type = "proxy"

    properties = {
      listen  = join("", ["tcp:", local.host_control_ip, ":", local.hello_direct_port])
      connect = join("", ["tcp:", local.hello_ipv4, ":8000"])
      nat     = "yes"
    }
  }

  device {
    name = "proxy1"
    type = "proxy"

    properties = {
      listen  = join("", ["tcp:[", local.host_public_ipv6_address, "]:", local.hello_direct_port])
      connect = join("", ["tcp:[", local.hello_ipv6, "]:8000"])
      nat     = "yes"
    }
  }

  # The number of visits
  device {
    name = "data"
    type = "disk"

    properties = {
      source   = join("", ["/var/containers/", local.project_id, "/hello/data"])
      path     = "/var/lib/hello"
      readonly = "false"
      shift    = "true"
    }
  }
}

resource "lxd_container" "hello-v4" {

  count = ( local.host_public_ipv6 == true ? 0 : 1 )

  remote   = var.host_id
  name     = "hello"
  image    = join("-", [ local.project_id, "hello", var.image_version ])
  profiles = ["default"]

  config = {
    "security.privileged": "false"
    "user.user-data" = file("cloud-init/cloud-init-hello.yml")
    "user.ryo.health" = "http://:8000/health"
  }

  # Network with addresses that do not change
  device {
    name = "eth0"
    type = "nic"

    properties = {
      name           = "eth0"
      network        = var.host_id
      "ipv4.address" = local.hello_ipv4
      "ipv6.address" = local.hello_ipv6
    }
  }

  # Requests past the web proxy
  device {
    name = "proxy0"
    type = "proxy"

    properties = {
      listen  = join("", ["tcp:", local.host_control_ip, ":", local.hello_direct_port])
      connect = join("", ["tcp:", local.hello_ipv4, ":8000"])
      nat     = "yes"
    }
  }

  # The number of visits
  device {
    name = "data"
    type = "disk"

    properties = {
      source   = join("", ["/var/containers/", local.project_id, "/hello/data"])
      path     = "/var/lib/hello"
      readonly = "false"
      shift    = "true"
    }
  }
}
