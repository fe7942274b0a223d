output "hello_ipv4_address" {
  description = "Where the application answers in the network of the containers."
  value       = local.hello_ipv4
}
