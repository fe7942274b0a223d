//! What a value of a configuration has to be: the same in a file that is read as in an answer to a question.
//!
//! An error goes on where the name of the value stops: `must be …`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name of an account.
const LONGEST_ACCOUNT: usize = 32;

/// Units of a size, as the server of containers takes them.
const UNITS: [&str; 14] = ["", "B", "kB", "MB", "GB", "TB", "PB", "EB", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

fn wanted<T>(found: Option<T>, wanted: &str) -> Result<T, String> {
    found.ok_or_else(|| format!("must be {wanted}"))
}

/// Reads a port.
///
/// # Errors
///
/// It is none.
pub fn port(text: &str) -> Result<u16, String> {
    wanted(text.parse().ok().filter(|port| *port > 0), "a port from 1 to 65535")
}

/// Reads an IPv4 address.
///
/// # Errors
///
/// It is none.
pub fn ipv4(text: &str) -> Result<Ipv4Addr, String> {
    wanted(text.parse().ok(), "an IPv4 address")
}

/// Reads an address of either family.
///
/// # Errors
///
/// It is none.
pub fn ip(text: &str) -> Result<IpAddr, String> {
    wanted(text.parse().ok(), "an IP address")
}

/// Reads an IPv6 address.
///
/// # Errors
///
/// It is none.
pub fn ipv6(text: &str) -> Result<Ipv6Addr, String> {
    wanted(text.parse().ok(), "an IPv6 address")
}

/// Reads the first three parts of an IPv4 network, e.g. `10.0.1`.
///
/// # Errors
///
/// They are none.
pub fn ipv4_part(text: &str) -> Result<String, String> {
    let fine = format!("{text}.1").parse::<Ipv4Addr>().is_ok();
    wanted(fine.then(|| text.to_owned()), "the first three parts of an IPv4 network such as `10.0.1`")
}

/// Reads the front of an IPv6 network, without the colons at its end, e.g. `fd10:10:0:1`.
///
/// # Errors
///
/// It is none.
pub fn ipv6_prefix(text: &str) -> Result<String, String> {
    let fine = !text.is_empty() && !text.ends_with(':') && format!("{text}::1").parse::<Ipv6Addr>().is_ok();
    wanted(fine.then(|| text.to_owned()), "an IPv6 prefix without colons at its end such as `fd10:10:0:1`")
}

/// Reads one group of an IPv6 address.
///
/// # Errors
///
/// It is none.
pub fn ipv6_group(text: &str) -> Result<String, String> {
    let fine = text.len() <= 4 && u16::from_str_radix(text, 16).is_ok();
    wanted(fine.then(|| text.to_owned()), "one group of an IPv6 address such as `1`")
}

/// Reads a size, e.g. `40GB`.
///
/// # Errors
///
/// It is none.
pub fn size(text: &str) -> Result<String, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let fine = unit.len() < text.len() && UNITS.contains(&unit);
    wanted(fine.then(|| text.to_owned()), "a size such as `40GB`")
}

/// Reads the name of an account of a machine.
///
/// # Errors
///
/// It is none that every distribution takes.
pub fn account(text: &str) -> Result<String, String> {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    let fine = first && plain && text.len() <= LONGEST_ACCOUNT;
    wanted(
        fine.then(|| text.to_owned()),
        "an account's name: small letters, digits, `-` and `_`, a letter first, at most 32",
    )
}

/// Refuses a password that a configuration file cannot hold: others read templates and placeholders in it.
///
/// # Errors
///
/// It is one.
pub fn password(text: &str) -> Result<(), String> {
    let template = ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
    let placeholder = text.starts_with('<') && text.ends_with('>');
    if template || placeholder || text.chars().any(char::is_control) {
        return Err(
            "cannot be kept in a configuration file: no `{{`, `{%`, `{#`, `<…>` or control characters".to_owned()
        );
    }
    Ok(())
}
