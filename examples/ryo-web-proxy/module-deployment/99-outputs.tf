output "web_proxy_ipv4_address" {
  description = "Where the proxy answers in the network of the containers."
  value       = local.web_proxy_ipv4
}
