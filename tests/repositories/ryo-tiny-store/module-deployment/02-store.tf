resource "lxd_container" "store" {
  remote   = var.host_id
  name     = "store"
  image    = join("-", [local.module_id, "store", var.image_version])
  profiles = ["default"]
  config = {
    "security.privileged" : "false"
    "user.user-data" = file("cloud-init/cloud-init-basic.yml")
  }
  device {
    name = "eth0"
    type = "nic"
    properties = {
      name           = "eth0"
      network        = var.host_id
      "ipv4.address" = join(".", [local.network_part, 60])
    }
  }
  device {
    name = "data"
    type = "disk"
    properties = {
      source   = join("", ["/var/containers/", local.module_id, "/data"])
      path     = "/data"
      readonly = "false"
      shift    = "true"
    }
  }
}
