# What the web proxy has to know, told by its own Terraform modules

module "deploy-hello-backend-service" {
  source = "../../ryo-web-proxy/module-deployment/modules/deploy-web-proxy-backend-services"

  depends_on = [ lxd_container.hello-v6, lxd_container.hello-v4 ]

  backend_services = {
    "hello" = { address = local.hello_ipv4, port = 8000 }
  }
}

module "deploy-hello-acls" {
  source = "../../ryo-web-proxy/module-deployment/modules/deploy-web-proxy-configuration"

  depends_on = [ module.deploy-hello-backend-service ]

  web-proxy_host_only_acls = {
    join("-", [ local.project_id, "domain" ]) = { host = local.project_domain_name }
    join("-", [ local.project_id, "www" ])    = { host = join("", [ "www.", local.project_domain_name ]) }
  }

  web-proxy_path_only_acls = {
    join("-", [ local.project_id, "path" ])          = { path = "/hello" },
    join("-", [ local.project_id, "path-internal" ]) = { path = "/hello/internal" }
  }

  web-proxy_host_path_acls = {
    join("-", [ local.project_id, "internal" ]) = { host = local.project_domain_name, path = "/internal" }
  }
}

module "deploy-hello-rules" {
  source = "../../ryo-web-proxy/module-deployment/modules/deploy-web-proxy-configuration"

  depends_on = [ module.deploy-hello-acls ]

  # What is for the inside is refused on the outside.
  web-proxy_acl_denys = [
    join("-", [ local.project_id, "internal" ]),
    join("-", [ local.project_id, "path-internal" ])
  ]

  web-proxy_acl_redirects = {
    join("-", [ local.project_id, "www" ]) = { prefix = join("", [ "http://", local.project_domain_name ]) }
  }

  web-proxy_acl_use-backends = {
    join("-", [ local.project_id, "domain" ]) = { backend_service = "hello" }
    join("-", [ local.project_id, "path" ])   = { backend_service = "hello" }
  }
}
