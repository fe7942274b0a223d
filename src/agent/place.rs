//! How the binary gets onto a target, and is started there.
//!
//! Root's copy is `/var/lib/ryo/agent/DIGEST/ryo`, in a directory that only root can enter. Another account's is
//! `~/.cache/ryo/agent/DIGEST/ryo`, or, if yet another account is to run it through `sudo` or `su`,
//! `/var/tmp/ryo-UID/DIGEST/ryo`, which everybody can reach and only its owner can change: the program is no secret.
//! It is used only if that directory belongs to the account.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::agent::client::{Handshake, Prompt};
use crate::agent::{Client, Error};
use crate::local::Local;
use crate::machine::{self, Command, Machine};
use crate::playbook::connection::{Become, Method};
use crate::secret::Secret;

mod pack;

use pack::Packed;

/// Bytes of the digest that name a copy, in hexadecimal digits.
const NAMED: usize = 32;

/// What the start script says when the binary is not there.
const ABSENT: &str = "ryo-agent-absent";

/// What `sudo` asks with.
const PROMPT: &str = "ryo-become-password:";

/// Finds where the binary lies, or is to lie, for digest `$1`, method `$2` and account `$3`.
const WHERE: &str = r#"
i=$(id -u) || exit 1
u=$(id -un 2>/dev/null) || u=
if [ "$i" = 0 ]; then d=/var/lib/ryo/agent
elif [ "$2" = none ] || [ "$3" = "$u" ]; then d=${XDG_CACHE_HOME:-$HOME/.cache}/ryo/agent
else
  d=/var/tmp/ryo-$i
  if [ -e "$d" ] && [ ! -O "$d" ]; then echo "$d belongs to another account" >&2; exit 1; fi
fi
b=$d/$1/ryo
"#;

/// Starts the binary as the account; `$4` is `ask` if a password can be given, the rest is what the program is told.
/// Root needs none: what would change the environment then is refused.
const START: &str = r#"
if [ ! -x "$b" ]; then echo ryo-agent-absent >&2; exit 127; fi
m=$2 a=$3 k=$4
shift 4
if [ "$m" = none ] || [ "$a" = "$u" ]; then exec "$b" agent; fi
if [ "$i" = 0 ]; then
  for f; do
    case $f in
    -H | -S | -n | -s | /*) ;;
    *) echo "root takes on accounts by itself, without $f" >&2; exit 1 ;;
    esac
  done
  exec "$b" agent --account "$a"
fi
case $m$k in
sudo) exec sudo -n "$@" -u "$a" -- "$b" agent ;;
sudoask) exec sudo -S "$@" -p ryo-become-password: -u "$a" -- "$b" agent ;;
*) LC_ALL=C exec su -s /bin/sh "$@" "$a" -c "unset LC_ALL; cd /; exec '$b' agent" ;;
esac
"#;

/// Puts the binary, which comes as standard input, there: `$4` is its whole digest, `$5` its processor, `$6` how it comes.
const PLACE: &str = r#"
set -e
m=$(uname -m)
if [ "$m" != "$5" ]; then echo "$m"; exit 65; fi
if [ "$6" = gzip ] && ! command -v gzip >/dev/null; then exit 66; fi
case $d in
/var/tmp/*) umask 022 ;;
*) umask 077 ;;
esac
mkdir -p "$d"
mkdir -p "$d/$1"
t=$d/$1/.ryo.$$
trap 'rm -f "$t"' EXIT
if [ "$6" = gzip ]; then gzip -dc >"$t"; else cat >"$t"; fi
s=$(sha256sum "$t")
if [ "${s%% *}" != "$4" ]; then echo "it did not arrive as it was sent" >&2; exit 67; fi
chmod 0755 "$t"
mv -f "$t" "$b"
"#;

/// The program that agents are made of.
#[derive(Clone, Debug)]
pub struct Binary {
    path: PathBuf,
    packed: Arc<OnceCell<Packed>>,
}

impl Binary {
    /// The running program itself.
    ///
    /// # Errors
    ///
    /// [`Error::Binary`] if the system does not say where it is.
    pub fn own() -> Result<Self, Error> {
        match std::env::current_exe() {
            Ok(path) => Ok(Self::at(path)),
            Err(source) => Err(Error::Binary { path: "/proc/self/exe".into(), source }),
        }
    }

    /// The program at `path`, for tests.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), packed: Arc::default() }
    }

    /// Where it is on this computer.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its digest and compressed copy, made once.
    async fn packed(&self) -> Result<&Packed, Error> {
        let pack = || async {
            let path = self.path.clone();
            let packed = tokio::task::spawn_blocking(move || pack::digest(&path)).await;
            packed.map_err(std::io::Error::other).and_then(|it| it)
        };
        self.packed.get_or_try_init(pack).await.map_err(|source| Error::Binary { path: self.path.clone(), source })
    }
}

/// The account wanted, as the scripts take it.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    user: &'a str,
    method: Option<Method>,
    flags: &'a [String],
    password: Option<&'a Secret>,
}

impl<'a> Wanted<'a> {
    fn new(account: Option<(&'a Become, Option<&'a Secret>)>) -> Self {
        match account {
            None => Self { user: "", method: None, flags: &[], password: None },
            Some((account, password)) => {
                let Become { user, method, flags } = account;
                Self { user, method: Some(*method), flags, password }
            }
        }
    }

    fn method(self) -> &'static str {
        match self.method {
            None => "none",
            Some(Method::Sudo) => "sudo",
            Some(Method::Su) => "su",
        }
    }

    /// What `sudo` or `su` is told beside.
    fn flags(self) -> Vec<&'a str> {
        let given = self.flags.iter().map(String::as_str);
        match self.method {
            Some(Method::Sudo) if self.flags.is_empty() => vec!["-H"],
            // It would not ask then.
            Some(Method::Sudo) if self.password.is_some() => {
                given.filter(|flag| !matches!(*flag, "-n" | "--non-interactive")).collect()
            }
            _ => given.collect(),
        }
    }

    fn handshake(self) -> Handshake<'a> {
        let prompt = match self.method {
            None => None,
            Some(Method::Sudo) => Some(PROMPT),
            Some(Method::Su) => Some("Password:"),
        };
        Handshake { prompt: prompt.map(|text| Prompt { text, user: self.user, password: self.password }) }
    }
}

/// Starts the agent, putting it there first if it is not.
pub(super) async fn start(
    machine: &dyn Machine,
    binary: &Binary,
    account: Option<(&Become, Option<&Secret>)>,
) -> Result<Client, Error> {
    let wanted = Wanted::new(account);
    let packed = binary.packed().await?;
    match started(machine, packed, wanted).await {
        Err(Error::Gone { said, .. }) if said.contains(ABSENT) => {}
        Err(Error::Wire { .. }) => {}
        other => return other,
    }
    place(machine, binary, packed, wanted).await?;
    started(machine, packed, wanted).await
}

async fn started(machine: &dyn Machine, packed: &Packed, wanted: Wanted<'_>) -> Result<Client, Error> {
    let asks = if wanted.password.is_some() { "ask" } else { "" };
    let words = [&packed.digest[..NAMED], wanted.method(), wanted.user, asks];
    let command = script(&format!("{WHERE}{START}"), words.into_iter().chain(wanted.flags()));
    let process = machine.open(&command).await?;
    Client::shaken(machine.name(), process, wanted.handshake()).await.map_err(|error| told(error, wanted))
}

fn script<'w>(text: &'w str, words: impl IntoIterator<Item = &'w str>) -> Command {
    Command::new(["sh", "-c", text.trim_start(), "ryo"].into_iter().chain(words))
}

/// An end without a word, when another account was wanted, is the refusal of `sudo` or `su`.
fn told(error: Error, wanted: Wanted) -> Error {
    match error {
        Error::Gone { machine, said } if wanted.method.is_some() && !said.contains(ABSENT) => {
            if said.contains("a password is required") {
                let user = wanted.user.to_owned();
                return Error::Password { user, machine, given: super::Given::Missing };
            }
            // It comes behind its question, on the same line.
            Error::Become { user: wanted.user.to_owned(), machine, said: said.replace(PROMPT, "") }
        }
        other => other,
    }
}

async fn place(machine: &dyn Machine, binary: &Binary, packed: &Packed, wanted: Wanted<'_>) -> Result<(), Error> {
    let unread = |source| Error::Binary { path: binary.path.clone(), source };
    let path = binary.path.clone();
    let digest = packed.digest.clone();
    let small = tokio::task::spawn_blocking(move || pack::compressed(&path, &digest)).await;
    let small = small.map_err(std::io::Error::other).and_then(|it| it).map_err(unread)?;
    let sent = send(machine, packed, wanted, "gzip", &small).await?;
    let sent = match sent.status {
        66 => {
            let whole = tokio::fs::read(&binary.path).await.map_err(unread)?;
            send(machine, packed, wanted, "raw", &whole).await?
        }
        _ => sent,
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let machine = machine.name().to_owned();
    match sent.status {
        0 => Ok(()),
        65 => Err(Error::Architecture { machine, found: text(&sent.stdout), ours: std::env::consts::ARCH.to_owned() }),
        _ => Err(Error::Place { machine, said: text(&sent.stderr) }),
    }
}

async fn send(
    machine: &dyn Machine,
    packed: &Packed,
    wanted: Wanted<'_>,
    form: &str,
    bytes: &[u8],
) -> Result<machine::Finished, Error> {
    let words = [&packed.digest[..NAMED], wanted.method(), wanted.user, &packed.digest, std::env::consts::ARCH, form];
    let command = script(&format!("{WHERE}{PLACE}"), words);
    Ok(machine::run(machine, &command, bytes).await?)
}

/// Starts the agent on this computer from the binary itself.
pub(super) async fn local(binary: &Binary, account: Option<(&Become, Option<&Secret>)>) -> Result<Client, Error> {
    let wanted = Wanted::new(account);
    let path = binary.path.to_string_lossy();
    let asks = if wanted.password.is_some() { "ask" } else { "" };
    let command = if wanted.method.is_none() {
        Command::new([&path, "agent"])
    } else {
        let text = format!("i=$(id -u)\nu=$(id -un 2>/dev/null) || u=\nb=$1{START}");
        let words = [path.as_ref(), wanted.method(), wanted.user, asks];
        script(&text, words.into_iter().chain(wanted.flags()))
    };
    let machine = Local::new();
    let process = machine.open(&command).await?;
    Client::shaken(machine.name(), process, wanted.handshake()).await.map_err(|error| told(error, wanted))
}
