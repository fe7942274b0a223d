variable "store_entries" {
  type = map(object({
    value = string
  }))
  default = {}
}
variable "store_names" {
  type    = list(string)
  default = []
}
resource "consul_keys" "entries" {
  for_each = var.store_entries
  key {
    path   = join("", ["service/store/entries/", each.key])
    value  = each.value["value"]
    delete = true
  }
}
resource "consul_keys" "names" {
  for_each = toset(var.store_names)
  key {
    path   = "service/store/names/${each.key}"
    value  = ""
    delete = true
  }
}
