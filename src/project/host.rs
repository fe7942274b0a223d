//! The configuration of a host: `ryo-host/configuration/configuration_<h>.yml`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::place::{Place, Problem};
use crate::project::settings::Settings;
use crate::project::{host_configuration, host_inventory};
use crate::secret::Secret;

/// A host, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name; `local` is this machine.
    pub name: String,
    /// The address that the control node uses, and that the services of the host listen on.
    pub control_ip: Ipv4Addr,
    /// The address that the control node uses in place of it, where it has no IPv4. The original knows no such key.
    pub control_ipv6: Option<Ipv6Addr>,
    /// The public address.
    pub public_ip: Ipv4Addr,
    /// The public IPv6 network and address, if `host_public_ipv6` says that there is one.
    pub public_ipv6: Option<PublicIpv6>,
    /// The port of SSH before the host is set up.
    pub initial_ssh_port: u16,
    /// The first login.
    pub root_user: String,
    /// Its password.
    pub root_password: Secret,
    /// The account that is made.
    pub user: String,
    /// Its password.
    pub user_password: Secret,
    /// The port of SSH afterwards.
    pub ssh_port: u16,
    /// The port of WireGuard.
    pub wireguard_port: u16,
    /// First three parts of the tunnel's IPv4 network; `.1` is the control node, `.2` the host.
    pub wireguard_part: String,
    /// Front of the tunnel's IPv6 network; `::1` is the control node, `::2` the host.
    pub wireguard_prefix: String,
    /// First three parts of the bridge's IPv4 network; `.1` is the host.
    pub bridge_part: String,
    /// Second-last group of the addresses on the bridge.
    pub bridge_subnet: String,
    /// Front of the bridge's IPv6 network where there is no public one.
    pub bridge_prefix: String,
    /// Size of the storage pool, e.g. `40GB`.
    pub storage_pool_size: String,
}

/// A public IPv6 network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicIpv6 {
    /// Its front, without colons at the end.
    pub prefix: String,
    /// The address of the host.
    pub address: Ipv6Addr,
}

impl Host {
    /// Returns the address at which the control node reaches the host without the tunnel.
    pub fn reached_at(&self) -> IpAddr {
        self.control_ipv6.map_or(IpAddr::V4(self.control_ip), IpAddr::V6)
    }

    /// Returns the address of the host in the tunnel, which SSH and the LXD server listen on.
    pub fn tunnel_address(&self) -> String {
        format!("{}::2", self.wireguard_prefix)
    }

    /// Returns host and port of Consul on the host.
    pub fn consul_address(&self) -> String {
        format!("[{}:1]:8500", self.bridge_ipv6())
    }

    /// Returns the size of the storage pool in bytes. Source: LXD's documentation, "Units for storage and network limits".
    pub fn storage_pool_bytes(&self) -> u64 {
        let digits = self.storage_pool_size.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = self.storage_pool_size.split_at(digits);
        let base: u64 = if unit.contains('i') { 1024 } else { 1000 };
        let powers = (0..).zip("BKMGTPE".chars());
        let power =
            powers.into_iter().find(|(_, letter)| unit.to_uppercase().starts_with(*letter)).map_or(0, |it| it.0);
        number.parse::<u64>().unwrap_or(0).saturating_mul(base.saturating_pow(power))
    }

    /// Returns the front of the addresses on the bridge; `:1` is the host.
    pub fn bridge_ipv6(&self) -> String {
        let prefix = self.public_ipv6.as_ref().map_or(&self.bridge_prefix, |public| &public.prefix);
        format!("{prefix}::{}", self.bridge_subnet)
    }
}

/// Longest name of a host: it becomes the name of a network interface.
const LONGEST_NAME: usize = 15;

/// Returns what is wrong with the name of a host.
pub fn name_problem(name: &str) -> Option<String> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Some(format!("`{name}` is no name for a host: only letters and digits"));
    }
    if name.len() > LONGEST_NAME {
        let length = name.len();
        return Some(format!("the host name `{name}` is too long: {length} characters, at most {LONGEST_NAME}"));
    }
    let taken = ["build", "lxdbr0", "images", "lo", "wg0", "TEMPLATE"].contains(&name);
    taken.then(|| format!("`{name}` cannot be the name of a host: it is taken"))
}

/// Reads the configuration of the host `name`.
///
/// # Errors
///
/// All [`Problem`]s of the file.
pub fn read(working_directory: &Path, name: &str) -> Result<Host, Vec<Problem>> {
    let (host, problems, _) = inspect(working_directory, name);
    host.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Reads the configuration of the host `name` with everything that is wrong with it, then what is doubtful.
pub fn inspect(working_directory: &Path, name: &str) -> (Option<Host>, Vec<Problem>, Vec<Problem>) {
    let file = host_configuration(working_directory, name);
    if let Some(problem) = name_problem(name) {
        return (None, vec![Problem::new(Place::file(&file), problem)], vec![]);
    }
    let mut settings = match Settings::read(&file) {
        Ok(settings) => settings,
        Err(problem) => return (None, vec![problem], vec![]),
    };
    let host = typed(name, &mut settings);
    let ipv6 = settings.node().get("host_public_ipv6").is_some_and(|node| node.kind == crate::yaml::Kind::Bool(true));
    settings.placeholders(|key| ipv6 || !key.starts_with("host_public_ipv6_"));
    if let Some(host) = host.as_ref().filter(|host| host.name != "local") {
        settings.warnings.extend(inventory(working_directory, host));
    }
    (host, settings.problems, settings.warnings)
}

fn typed(name: &str, settings: &mut Settings) -> Option<Host> {
    let public = settings.truth("host_public_ipv6");
    let (control_ip, public_ip) = (settings.ipv4("host_control_ip"), settings.ipv4("host_public_ip"));
    let control_ipv6 = settings.node().get("host_control_ipv6").is_some();
    let control_ipv6 = control_ipv6.then(|| settings.ipv6("host_control_ipv6")).flatten();
    let public_ipv6 = if public {
        let prefix = settings.ipv6_prefix("host_public_ipv6_prefix");
        settings.ipv6("host_public_ipv6_address").map(|address| PublicIpv6 { prefix, address })
    } else {
        // Terraform files read both, used or not.
        settings.text("host_public_ipv6_prefix");
        settings.text("host_public_ipv6_address");
        None
    };
    let host = Host {
        name: name.to_owned(),
        control_ip: control_ip.unwrap_or(Ipv4Addr::UNSPECIFIED),
        control_ipv6,
        public_ip: public_ip.unwrap_or(Ipv4Addr::UNSPECIFIED),
        public_ipv6,
        initial_ssh_port: settings.port("host_initial_ssh_port"),
        root_user: settings.filled("host_root_user"),
        root_password: Secret::new(settings.text("host_root_password")),
        user: settings.filled("host_non_root_user"),
        user_password: Secret::new(settings.text("host_non_root_user_password")),
        ssh_port: settings.port("host_new_ssh_port"),
        wireguard_port: settings.port("host_wireguard_port"),
        wireguard_part: settings.ipv4_part("wireguard_network_part"),
        wireguard_prefix: settings.ipv6_prefix("wireguard_network_ipv6_prefix"),
        bridge_part: settings.ipv4_part("lxd_host_network_part"),
        bridge_subnet: settings.ipv6_group("lxd_host_network_ipv6_subnet"),
        bridge_prefix: settings.ipv6_prefix("lxd_host_private_ipv6_prefix"),
        storage_pool_size: settings.size("lxd_storage_pool_size"),
    };
    (control_ip.is_some() && public_ip.is_some()).then_some(host)
}

/// The inventory repeats two addresses of the configuration.
fn inventory(working_directory: &Path, host: &Host) -> Vec<Problem> {
    let file = host_inventory(working_directory, &host.name);
    let Ok(text) = std::fs::read_to_string(&file) else {
        return vec![];
    };
    let wanted = [("host_control_ip", host.control_ip.to_string()), ("host_wireguard_ip6", host.tunnel_address())];
    let mut group = "";
    let mut warnings = vec![];
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            group = name;
        } else if let Some((key, address)) = wanted.iter().find(|(name, _)| *name == group)
            && let Some(written) = line.split_whitespace().next().filter(|word| !word.starts_with(['#', ';']))
            && written != address
        {
            let place = Place::new(&file, at + 1, 1);
            let problem =
                Problem::new(place, format!("`{key}` is `{written}` here, but `{address}` by the configuration"));
            warnings.push(problem.hint("the configuration is used"));
        }
    }
    warnings
}
