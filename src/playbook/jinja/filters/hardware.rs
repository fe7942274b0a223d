//! `hwaddr` and `macaddr`: addresses of network cards.
//!
//! Source: ansible.utils 2.12, `plugins/plugin_utils/base/ipaddr_utils.py`, and Python's `netaddr` 0.10.

use crate::playbook::jinja::filters::Trouble;
use crate::playbook::jinja::value::Value;

/// Checks an address, or writes it in another way.
pub fn apply(written: &str, query: &str) -> Result<Value, Trouble> {
    let Some(bytes) = read(written) else {
        return match query {
            "" | "bool" => Ok(Value::None),
            _ => Err(format!("needs the address of a network card, got `{written}`").into()),
        };
    };
    let number = bytes.iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    let groups = |size: usize, between: &str, write: &dyn Fn(i64) -> String| {
        let parts = bytes.chunks(size).map(|part| part.iter().fold(0_i64, |all, byte| all << 8 | i64::from(*byte)));
        Value::text(parts.map(write).collect::<Vec<_>>().join(between))
    };
    Ok(match query {
        "" => Value::text(written),
        "bool" => Value::Bool(true),
        "int" => Value::Int(number),
        "bare" => groups(6, "", &|part| format!("{part:012X}")),
        "cisco" => groups(2, ".", &|part| format!("{part:04x}")),
        "eui48" | "win" => groups(1, "-", &|part| format!("{part:02X}")),
        "linux" => groups(1, ":", &|part| format!("{part:02x}")),
        "pgsql" | "postgresql" | "psql" => groups(3, ":", &|part| format!("{part:06x}")),
        "unix" => groups(1, ":", &|part| format!("{part:x}")),
        _ => return Err(format!("has no query `{query}`").into()),
    })
}

/// Reads `0a:2b:3c:4d:5e:0f`, the same with `-`, `0a2b.3c4d.5e0f`, `0a2b3c:4d5e0f`, `0a2b3c4d5e0f`, or a number.
fn read(written: &str) -> Option<[u8; 6]> {
    let parts: Vec<&str> = written.split([':', '-', '.']).collect();
    let between: Vec<&str> = written.matches([':', '-', '.']).collect();
    let alike = between.windows(2).all(|pair| pair[0] == pair[1]);
    let lengths = match (parts.len(), between.first().copied()) {
        (6, Some(":" | "-")) => 1..=2,
        (3, Some(_)) => 1..=4,
        (2, Some(":" | "-")) => 5..=6,
        (1, None) => 11..=12,
        _ => return None,
    };
    let fits = |part: &str| lengths.contains(&part.len()) && part.bytes().all(|c| c.is_ascii_hexdigit());
    let bits = 48 / parts.len();
    let number = if alike && parts.iter().all(|part| fits(part)) {
        parts.iter().try_fold(0_u64, |all, part| Some(all << bits | u64::from_str_radix(part, 16).ok()?))
    } else {
        written.parse().ok().filter(|number| *number < 1 << 48)
    }?;
    let [_, _, bytes @ ..] = number.to_be_bytes();
    Some(bytes)
}
