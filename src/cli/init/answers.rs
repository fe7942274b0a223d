//! Answers → what is configured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use rand::distr::{Alphanumeric, SampleString as _};

use crate::cli::init::Arguments;
use crate::cli::init::question::{self, Asking, Question};
use crate::cli::{password, problems};
use crate::failure::{Failure, Kind};
use crate::flow::{init, journal};
use crate::module::system::System;
use crate::project::host::PublicIpv6;
use crate::project::networks::{self, Networks};
use crate::project::{self, Control, Host, value};
use crate::secret::Secret;

const NAME: Question<String> = Question { text: "Name of the host:", flag: "--host", read: question::name };
const ADDRESS: Question<IpAddr> =
    Question { text: "Address at which this computer reaches it:", flag: "--address", read: value::ip };
const PUBLIC_ADDRESS: Question<Ipv4Addr> =
    Question { text: "IPv4 address at which the internet reaches it:", flag: "--public-address", read: value::ipv4 };
const IPV6_PREFIX: Question<question::Prefix> =
    Question { text: "Its public IPv6 network (empty: none):", flag: "--ipv6-prefix", read: question::prefix };
const IPV6_ADDRESS: Question<Ipv6Addr> =
    Question { text: "Its address there:", flag: "--ipv6-address", read: value::ipv6 };
const FIRST_USER: Question<String> =
    Question { text: "Account of the first login:", flag: "--first-user", read: value::account };
const FIRST_PORT: Question<u16> =
    Question { text: "Port of SSH at the first login:", flag: "--first-port", read: value::port };
const USER: Question<String> =
    Question { text: "Your account, to be made on it:", flag: "--user", read: question::operator };
const SSH_PORT: Question<u16> = Question { text: "Port of SSH from then on:", flag: "--ssh-port", read: value::port };
const WIREGUARD_PORT: Question<u16> =
    Question { text: "Port of WireGuard (UDP):", flag: "--wireguard-port", read: value::port };
const POOL_SIZE: Question<String> =
    Question { text: "Size of its storage pool:", flag: "--pool-size", read: value::size };

/// The password that is made up for an account.
const PASSWORD_LENGTH: usize = 24;

/// The name of the host; the first one is `web` unless somebody says otherwise.
pub(super) fn name(arguments: &Arguments, asking: &Asking, directory: &Path) -> Result<String, Failure> {
    let default = (!project::host_configuration(directory, "web").exists()).then_some("web");
    asking.ask(&NAME, arguments.host.as_ref(), default)
}

/// The control node, where nothing is configured yet.
pub(super) fn control(arguments: &Arguments) -> Control {
    let user = arguments.local_user.clone().unwrap_or_else(person);
    let accounts = System::whole().accounts();
    let home = accounts.iter().find(|account| account.name == user).map(|account| account.home.clone());
    let home = home.unwrap_or_else(|| format!("/home/{user}"));
    let key = key(Path::new(home.trim_end_matches('/'))).display().to_string();
    Control {
        user,
        user_password: Secret::new(""),
        veth0_part: "10.100.100".to_owned(),
        veth0_prefix: "fd10:10:100:100".to_owned(),
        public_key: format!("{key}.pub"),
        private_key: key,
    }
}

/// The key of the original's set-up if it is there. A new one has a name of its own: the original would put an RSA key in
/// its place.
fn key(home: &Path) -> PathBuf {
    let [old, new] = ["ryo_id_ssh_rsa", "ryo_id_ed25519"].map(|name| home.join(".ssh").join(name));
    if old.exists() { old } else { new }
}

/// Who sits in front of it: the account that called `sudo`, if one did.
fn person() -> String {
    let called = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    called.filter(|_| rustix::process::geteuid().is_root()).unwrap_or_else(journal::account)
}

/// The host, by what is answered.
pub(super) fn host(
    arguments: &Arguments,
    asking: &Asking,
    directory: &Path,
    name: &str,
    control: &Control,
) -> Result<Host, Failure> {
    let reached_at = asking.ask(&ADDRESS, arguments.address.as_ref(), None)?;
    let public_ip = public_address(arguments, asking, reached_at)?;
    // What the containers serve, they serve by IPv4, however the host is reached from here.
    let (control_ip, control_ipv6) = match reached_at {
        IpAddr::V4(address) => (address, None),
        IpAddr::V6(address) => (public_ip, Some(address)),
    };
    let networks = networks(directory, name, control, [reached_at, IpAddr::V4(public_ip)])?;
    let public_ipv6 = public_ipv6(arguments, asking)?;
    let root_user = asking.ask(&FIRST_USER, arguments.first_user.as_ref(), Some("root"))?;
    let root_password = match &arguments.password_file {
        Some(file) => from_file(file)?,
        None => asking.password(&format!("Password of {root_user} (empty: a key is let in):"), "--password-file")?,
    };
    let initial_ssh_port = asking.ask(&FIRST_PORT, arguments.first_port.as_ref(), Some("22"))?;
    let user = asking.ask(&USER, arguments.user.as_ref(), Some(&operator(control)))?;
    let user_password = match &arguments.user_password_file {
        Some(file) => from_file(file)?,
        None => Secret::new(Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH)),
    };
    Ok(Host {
        name: name.to_owned(),
        control_ip,
        control_ipv6,
        public_ip,
        public_ipv6,
        initial_ssh_port,
        root_user,
        root_password,
        user,
        user_password,
        ssh_port: asking.ask(&SSH_PORT, arguments.ssh_port.as_ref(), Some("2222"))?,
        wireguard_port: asking.ask(&WIREGUARD_PORT, arguments.wireguard_port.as_ref(), Some("52222"))?,
        wireguard_part: networks.wireguard_part,
        wireguard_prefix: networks.wireguard_prefix,
        bridge_part: networks.bridge_part,
        bridge_subnet: networks.bridge_subnet,
        bridge_prefix: networks.bridge_prefix,
        storage_pool_size: asking.ask(&POOL_SIZE, arguments.pool_size.as_ref(), Some("40GB"))?,
    })
}

/// Only a host at a private address, or one that is reached by IPv6, may have another one in the internet.
fn public_address(arguments: &Arguments, asking: &Asking, reached_at: IpAddr) -> Result<Ipv4Addr, Failure> {
    match reached_at {
        IpAddr::V4(control_ip) if arguments.public_address.is_none() && !control_ip.is_private() => Ok(control_ip),
        IpAddr::V4(control_ip) => {
            asking.ask(&PUBLIC_ADDRESS, arguments.public_address.as_ref(), Some(&control_ip.to_string()))
        }
        IpAddr::V6(_) => asking.ask(&PUBLIC_ADDRESS, arguments.public_address.as_ref(), None),
    }
}

fn public_ipv6(arguments: &Arguments, asking: &Asking) -> Result<Option<PublicIpv6>, Failure> {
    let question::Prefix(prefix) = asking.ask(&IPV6_PREFIX, arguments.ipv6_prefix.as_ref(), Some(""))?;
    if prefix.is_empty() {
        return Ok(None);
    }
    let address = asking.ask(&IPV6_ADDRESS, arguments.ipv6_address.as_ref(), Some(&format!("{prefix}::1")))?;
    Ok(Some(PublicIpv6 { prefix, address }))
}

fn networks(directory: &Path, name: &str, control: &Control, addresses: [IpAddr; 2]) -> Result<Networks, Failure> {
    let taken = init::taken(directory, control, name, &addresses).map_err(problems)?;
    networks::free(&taken).ok_or_else(|| {
        Failure::new(
            Kind::Request,
            "none of the networks 10.0.1 to 10.0.254 with 10.10.1 to 10.10.254 is free for the host",
        )
    })
}

/// The account on the host is called like the one here.
fn operator(control: &Control) -> String {
    question::operator(&control.user).unwrap_or_else(|_| "ryo".to_owned())
}

fn from_file(file: &Path) -> Result<Secret, Failure> {
    let secret = password(file)?;
    value::password(secret.reveal())
        .map_err(|problem| Failure::new(Kind::Request, format!("the password in `{}` {problem}", file.display())))?;
    Ok(secret)
}
