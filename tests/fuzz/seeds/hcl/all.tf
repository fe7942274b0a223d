a = [for k, v in { x = 1, y = 2 } : "${k}-${v}" if v > 1]
b = cidrsubnet("10.0.0.0/8", 8, 2)
c = <<-EOT
  %{ for i in range(3) ~}
  ${format("%05d", i)}
  %{ endfor ~}
EOT
d = try(local.x.y[*].z, local.later ? 1 : "two", null)
block "l" {
  e = merge({ a = 1 }, local.x)
  f = regexall("[a-z]+", "ab12cd")
}
