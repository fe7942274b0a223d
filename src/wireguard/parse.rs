//! Reading configuration files of `wg-quick`.
//!
//! Sources: `wg(8)` "CONFIGURATION FILE FORMAT", `wg-quick(8)`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::place::{self, Place, Problem};
use crate::wireguard::address::number;
use crate::wireguard::invalid::shown;
use crate::wireguard::{Configuration, Interface, Invalid, Peer};

/// Most bytes of a file that is read.
const MOST: usize = 64 << 10;
/// What a peer takes: the least that IPv6 asks for, and the largest frames of Ethernet.
const PACKETS: std::ops::RangeInclusive<u16> = 1280..=9000;

/// What `wg-quick` would do beside the tunnel. It is not done here, so a file that asks for it is refused.
const NOT_DONE: [&str; 8] = ["DNS", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig", "FwMark"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interface,
    Peer,
}

impl Kind {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Interface => &["PrivateKey", "Address", "ListenPort", "MTU"],
            Self::Peer => &["PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interface => "[Interface]",
            Self::Peer => "[Peer]",
        })
    }
}

struct Setting<'a> {
    /// As in the table of its section.
    key: &'static str,
    value: &'a str,
    /// Where the value begins.
    place: Place,
}

struct Section<'a> {
    kind: Kind,
    place: Place,
    settings: Vec<Setting<'a>>,
}

/// Reads a configuration. `file` is only named in problems.
///
/// Keys and sections are known in any case, `#` begins a comment, `Address` and `AllowedIPs` may be there several times,
/// all as for `wg`.
///
/// # Errors
///
/// The first problem, with line and column and what to do. No key is ever in one.
pub fn parse(file: &Path, text: &str) -> Result<Configuration, Problem> {
    if text.len() > MOST {
        let message = format!("a WireGuard configuration has at most {MOST} bytes, and this has {}", text.len());
        return Err(Problem::new(Place::file(file), message));
    }
    let mut sections: Vec<Section> = vec![];
    for (number, line) in (1..).zip(text.lines()) {
        let line = Line { file, number, text: line };
        let code = line.text.split('#').next().unwrap_or_default().trim();
        if code.starts_with('[') {
            sections.push(line.section(code)?);
        } else if !code.is_empty() {
            let section = sections.last_mut().ok_or_else(|| line.outside(code))?;
            section.settings.push(line.setting(code, section)?);
        }
    }
    whole(file, &sections)
}

struct Line<'a> {
    file: &'a Path,
    number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    /// Returns where a part of this line begins.
    fn place(&self, part: &str) -> Place {
        let before = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let column = self.text.get(..before).map_or(1, |before| before.chars().count() + 1);
        Place::new(self.file, self.number, column)
    }

    fn section(&self, code: &str) -> Result<Section<'a>, Problem> {
        let kinds = [Kind::Interface, Kind::Peer];
        let kind = kinds.into_iter().find(|kind| kind.to_string().eq_ignore_ascii_case(code));
        let wrong = || {
            let message = format!("{} is no section of a WireGuard configuration", shown(code));
            Problem::new(self.place(code), message).hint("write `[Interface]` or `[Peer]`")
        };
        Ok(Section { kind: kind.ok_or_else(wrong)?, place: self.place(code), settings: vec![] })
    }

    fn outside(&self, code: &str) -> Problem {
        Problem::new(self.place(code), "this stands before every section").hint("begin with `[Interface]`")
    }

    fn setting(&self, code: &'a str, section: &Section) -> Result<Setting<'a>, Problem> {
        let problem = |message: String| Problem::new(self.place(code), message);
        let Some((key, value)) = code.split_once('=') else {
            let message = format!("{} is neither a section nor a setting", shown(code));
            return Err(problem(message).hint("write NAME = VALUE"));
        };
        let (key, value) = (key.trim(), value.trim());
        let key = known(section.kind, key).map_err(|(message, hint)| problem(message).hint(hint))?;
        let repeated = !matches!(key, "Address" | "AllowedIPs") && section.settings.iter().any(|it| it.key == key);
        if repeated {
            return Err(problem(format!("`{key}` is there twice")).hint("leave one of them"));
        }
        if value.is_empty() && key != "AllowedIPs" {
            return Err(problem(format!("`{key}` has no value")).hint("write one, or take the line away"));
        }
        Ok(Setting { key, value, place: self.place(value) })
    }
}

/// Returns a key of a section as it is written, or what to say about it and what to do.
fn known(kind: Kind, key: &str) -> Result<&'static str, (String, String)> {
    let same = |it: &&&'static str| it.eq_ignore_ascii_case(key);
    if let Some(key) = kind.keys().iter().find(same) {
        return Ok(key);
    }
    if let Some(key) = NOT_DONE.iter().find(same) {
        return Err((format!("`{key}` is not carried out"), "take the line away".to_owned()));
    }
    let hint = match place::nearest(key, kind.keys().iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it knows {}", kind.keys().join(", ")),
    };
    Err((format!("{} is no setting of {kind}", shown(key)), hint))
}

fn whole(file: &Path, sections: &[Section]) -> Result<Configuration, Problem> {
    let of = |kind: Kind| sections.iter().filter(move |section| section.kind == kind);
    let mut interfaces = of(Kind::Interface);
    let missing =
        || Problem::new(Place::file(file), "there is no `[Interface]`").hint("write one, with a `PrivateKey`");
    let first = interfaces.next().ok_or_else(missing)?;
    if let Some(second) = interfaces.next() {
        return Err(
            Problem::new(second.place.clone(), "there is a second `[Interface]`").hint("write one file for each")
        );
    }
    let interface = interface(first)?;
    let peers = of(Kind::Peer).map(peer).collect::<Result<_, _>>()?;
    Ok(Configuration { interface, peers })
}

fn interface(section: &Section) -> Result<Interface, Problem> {
    Ok(Interface {
        private_key: section.needed("PrivateKey")?,
        addresses: section.list("Address")?,
        listen_port: section.read("ListenPort", |text| number(text).ok_or_else(|| Invalid::Port(shown(text))))?,
        mtu: section.read("MTU", |text| {
            number(text).filter(|mtu| PACKETS.contains(mtu)).ok_or_else(|| Invalid::Mtu(shown(text)))
        })?,
    })
}

fn peer(section: &Section) -> Result<Peer, Problem> {
    Ok(Peer {
        public_key: section.needed("PublicKey")?,
        preshared_key: section.read("PresharedKey", str::parse)?,
        allowed: section.list("AllowedIPs")?,
        endpoint: section.read("Endpoint", str::parse)?,
        keepalive: section.read("PersistentKeepalive", keepalive)?.filter(|seconds| *seconds > 0),
    })
}

fn keepalive(text: &str) -> Result<u16, Invalid> {
    if text.eq_ignore_ascii_case("off") { Some(0) } else { number(text) }.ok_or_else(|| Invalid::Keepalive(shown(text)))
}

impl Section<'_> {
    fn needed<T: FromStr<Err = Invalid>>(&self, key: &str) -> Result<T, Problem> {
        let missing = || {
            let message = format!("{} has no `{key}`", self.kind);
            Problem::new(self.place.clone(), message).hint("write one below it")
        };
        self.read(key, str::parse)?.ok_or_else(missing)
    }

    fn read<T>(&self, key: &str, value: impl Fn(&str) -> Result<T, Invalid>) -> Result<Option<T>, Problem> {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        setting.map(|setting| value(setting.value).map_err(|wrong| setting.problem(&wrong))).transpose()
    }

    fn list<T: FromStr<Err = Invalid>>(&self, key: &str) -> Result<Vec<T>, Problem> {
        let settings = self.settings.iter().filter(|setting| setting.key == key);
        let each = settings.flat_map(|setting| setting.parts().map(move |part| (setting, part)));
        each.map(|(setting, part)| part.parse().map_err(|wrong| setting.problem(&wrong))).collect()
    }
}

impl Setting<'_> {
    fn parts(&self) -> impl Iterator<Item = &str> {
        let parts = self.value.split(',').map(str::trim);
        parts.filter(|_| !self.value.is_empty())
    }

    fn problem(&self, wrong: &Invalid) -> Problem {
        Problem::new(self.place.clone(), format!("`{}`: {wrong}", self.key)).hint(wrong.remedy())
    }
}
