//! Configuration files as we write them: every key of the original, in its order. What is written here is read back as
//! the same value by [`host::read`](super::host::read) and [`control::read`](super::control::read).

use serde_json::Value;

use crate::project::{Control, Host};

/// Text that is the same to every reader of YAML.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Returns the text of `configuration_<h>.yml`. Passwords are in it.
pub fn host(host: &Host) -> String {
    let name = &host.name;
    let (prefix, address) = match &host.public_ipv6 {
        Some(public) => (public.prefix.clone(), public.address.to_string()),
        None => (String::new(), String::new()),
    };
    format!(
        "# The host server `{name}`. There are passwords in here: never publish this file.

# The IPv4 address at which the control node reaches the host and on which its services answer. It is in inventory_{name} too.
host_control_ip: {control_ip}
{control_ipv6}
# The IPv4 address at which the internet reaches the host.
host_public_ip: {public_ip}

# Whether the host has a public IPv6 network, its front without colons and length at the end, and the host's address.
# The last two have to be here even where there is none.
host_public_ipv6: {public}
host_public_ipv6_prefix: {prefix}
host_public_ipv6_address: {address}

# The first login on the new server. Without a password it is by a key.
host_initial_ssh_port: {initial_ssh_port}
host_root_user: {root_user}
host_root_password: {root_password}

# The operator's account, which is made on the host. From then on SSH takes its key alone, on the new port.
host_non_root_user: {user}
host_non_root_user_password: {user_password}
host_new_ssh_port: {ssh_port}

# The tunnel between control node and host. No two hosts may have the same networks.
host_wireguard_port: {wireguard_port}
wireguard_network_part: {wireguard_part}
wireguard_network_ipv6_prefix: {wireguard_prefix}

# The bridge of the containers. No two hosts may have the same networks.
lxd_host_network_part: {bridge_part}
lxd_host_network_ipv6_subnet: {bridge_subnet}
lxd_host_private_ipv6_prefix: {bridge_prefix}

# The size of the storage pool. At least 5 GB have to be left for the system.
lxd_storage_pool_size: {storage_pool_size}
",
        control_ip = quoted(&host.control_ip.to_string()),
        control_ipv6 = host.control_ipv6.map_or(String::new(), |address| format!(
            "
# The address at which the control node reaches the host in place of that: it has no IPv4.
host_control_ipv6: {}
",
            quoted(&address.to_string())
        )),
        public_ip = quoted(&host.public_ip.to_string()),
        public = host.public_ipv6.is_some(),
        prefix = quoted(&prefix),
        address = quoted(&address),
        initial_ssh_port = host.initial_ssh_port,
        root_user = quoted(&host.root_user),
        root_password = quoted(host.root_password.reveal()),
        user = quoted(&host.user),
        user_password = quoted(host.user_password.reveal()),
        ssh_port = host.ssh_port,
        wireguard_port = host.wireguard_port,
        wireguard_part = quoted(&host.wireguard_part),
        wireguard_prefix = quoted(&host.wireguard_prefix),
        bridge_part = quoted(&host.bridge_part),
        bridge_subnet = quoted(&host.bridge_subnet),
        bridge_prefix = quoted(&host.bridge_prefix),
        storage_pool_size = quoted(&host.storage_pool_size),
    )
}

/// Returns the text of `inventory_<h>`.
pub fn inventory(host: &Host) -> String {
    format!(
        "# The addresses of the host server `{name}`. They have to be the same as in configuration_{name}.yml.

[host_control_ip]
{control_ip}

[host_wireguard_ip6]
{tunnel}

[local]
::1 ansible_connection=local ansible_python_interpreter=\"{{{{ansible_playbook_python}}}}\"
",
        name = host.name,
        control_ip = host.control_ip,
        tunnel = host.tunnel_address(),
    )
}

/// Returns the text of the control node's `configuration.yml`. Passwords are in it.
pub fn control(control: &Control) -> String {
    format!(
        "# The control node: the computer on which `ryo` runs. Never publish this file once there is a password in it.

# The account that files belong to and that logs in to hosts.
local_non_root_user: {user}

# Its password for sudo, which `ryo` does not need.
local_non_root_user_password: {password}

# The fronts of the networks of the control node's dummy interface.
veth0_network_part: {veth0_part}
veth0_network_ipv6_prefix: {veth0_prefix}

# The key with which the control node logs in to hosts. `ryo control setup` makes it.
local_non_root_user_ssh_private_key_file_path: {private_key}
local_non_root_user_ssh_public_key_file_path: {public_key}
",
        user = quoted(&control.user),
        password = quoted(control.user_password.reveal()),
        veth0_part = quoted(&control.veth0_part),
        veth0_prefix = quoted(&control.veth0_prefix),
        private_key = quoted(&without_user(&control.private_key, &control.user)),
        public_key = quoted(&without_user(&control.public_key, &control.user)),
    )
}

/// A path in the account's home, with the template of the original in place of its name.
fn without_user(path: &str, user: &str) -> String {
    path.replacen(&format!("/{user}/"), "/{{ local_non_root_user }}/", 1)
}
