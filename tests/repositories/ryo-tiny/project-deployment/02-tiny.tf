locals {
  domain = yamldecode(file(local.configuration))["project_domain_name"]
}
module "before" {
  source        = "../../ryo-tiny-store/module-deployment/modules/deploy-store-entries"
  store_entries = { (join("-", [local.project_id, "domain"])) = { value = local.domain } }
}
resource "lxd_container" "tiny" {
  depends_on = [module.before]
  remote     = var.host_id
  name       = "tiny"
  image      = join("-", [local.project_id, "tiny", var.image_version])
  profiles   = ["default"]
  config = {
    "security.privileged" = "false"
    "user.user-data"      = file("cloud-init/cloud-init-basic.yml")
  }
  device {
    name = "eth0"
    type = "nic"
    properties = {
      name           = "eth0"
      network        = var.host_id
      "ipv4.address" = join(".", [local.network_part, 61])
    }
  }
  device {
    name = "proxy0"
    type = "proxy"
    properties = {
      listen  = join("", ["tcp:", local.network_part, ".1:8061"])
      connect = join("", ["tcp:", local.network_part, ".61:80"])
      nat     = "yes"
    }
  }
  device {
    name = "data"
    type = "disk"
    properties = {
      source   = join("", ["/var/containers/", local.project_id, "/data"])
      path     = "/data"
      readonly = "false"
      shift    = "true"
    }
  }
}
module "after" {
  source      = "../../ryo-tiny-store/module-deployment/modules/deploy-store-entries"
  depends_on  = [lxd_container.tiny]
  store_names = [local.project_id, "tiny"]
}
