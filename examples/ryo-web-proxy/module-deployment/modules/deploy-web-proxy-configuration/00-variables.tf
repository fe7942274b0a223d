# Which requests the web proxy hands to which web application. Every rule names an ACL.

variable "web-proxy_host_only_acls" {
  description = "Requests to a domain."
  type = map(object({
    host = string
  }))
  default = {}
}

variable "web-proxy_path_only_acls" {
  description = "Requests below a path, whatever the domain."
  type = map(object({
    path = string
  }))
  default = {}
}

variable "web-proxy_host_path_acls" {
  description = "Requests to a domain below a path."
  type = map(object({
    host = string
    path = string
  }))
  default = {}
}

variable "web-proxy_acl_denys" {
  description = "ACLs whose requests are refused."
  type        = list(string)
  default     = []
}

variable "web-proxy_acl_redirects" {
  description = "ACLs whose requests are sent elsewhere."
  type = map(object({
    prefix = string
  }))
  default = {}
}

variable "web-proxy_acl_use-backends" {
  description = "ACLs whose requests go to a web application."
  type = map(object({
    backend_service = string
  }))
  default = {}
}
