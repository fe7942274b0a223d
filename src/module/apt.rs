//! `apt` and `package`: Debian packages, through `apt-get` and `dpkg`.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::module::program::Ran;
use crate::module::{Call, Context, Diff, Error, Failed, Mode, Outcome, apart, typed};

mod arguments;
mod deb;
mod get;
pub mod lists;
mod status;
mod wanted;

pub use arguments::{Arguments, PACKAGE_PARAMETERS, PARAMETERS, State, Upgrade};
pub(crate) use get::Apt;
pub use status::{Package, packages};
pub use wanted::{Wanted, plan};

pub(crate) fn parse(Call { mut arguments, .. }: Call) -> Result<Arguments, Error> {
    arguments.remove("use");
    apart("apt", &arguments, &["deb", "name", "upgrade"])?;
    let doing = ["autoremove", "autoclean", "clean", "deb", "name", "update_cache", "upgrade", "cache_valid_time"];
    if !doing.iter().any(|name| arguments.contains_key(*name)) {
        return Err(Error::Missing { module: "apt".to_owned(), name: "name, deb, upgrade or update_cache".to_owned() });
    }
    typed("apt", arguments)
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let apt = Apt::new(arguments, host, mode);
    let mut outcome = Outcome::default();
    let mut tell = |name: &str, value: Value| outcome.values.insert(name.to_owned(), value);
    if arguments.clean {
        let ran = apt.get(&["clean"])?;
        tell("msg", json!(ran.stdout));
        outcome.changed = true;
    }
    let (before, now) = (apt.fetched(), SystemTime::now());
    let fetching = arguments.update_cache.unwrap_or(arguments.cache_valid_time > 0);
    let good = Duration::from_secs(u64::try_from(arguments.cache_valid_time).unwrap_or(0));
    let mut updated = false;
    if fetching && before.is_none_or(|before| before + good < now) {
        if mode == Mode::Apply {
            apt.update()?;
        }
        updated = mode == Mode::Check || apt.fetched() != before;
    }
    let epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    outcome.values.insert("cache_updated".to_owned(), json!(updated));
    outcome.values.insert("cache_update_time".to_owned(), json!(apt.fetched().map_or(0, epoch)));
    let mut acts = apt.acts()?;
    outcome.changed |= acts.is_empty() && updated && arguments.name.is_empty();
    let _guard = (!acts.is_empty() && mode == Mode::Apply).then(|| apt.policy()).transpose()?;
    for act in acts.drain(..) {
        let ran = apt.get(&act.iter().map(String::as_str).collect::<Vec<_>>())?;
        note(&mut outcome, &ran);
    }
    Ok(outcome)
}

/// What `apt-get` says when nothing is to be done.
const NOTHING: &str = "0 upgraded, 0 newly installed, 0 to remove";

/// Adds what one run of `apt-get` did.
fn note(outcome: &mut Outcome, ran: &Ran) {
    let cleaned = ran.stdout.lines().any(|line| line.starts_with("Del "));
    let counted = ran.stdout.contains(" newly installed, ");
    outcome.changed |= cleaned || (counted && !ran.stdout.contains(NOTHING));
    let lines = ran.stdout.lines().skip_while(|line| !line.starts_with("The following"));
    let shown = lines.take_while(|line| !line.contains(" newly installed, ")).collect::<Vec<_>>();
    let shown = shown.iter().filter(|line| !line.starts_with("Suggested") && !line.starts_with("Recommended"));
    let after = shown.fold(String::new(), |text, line| text + line + "\n");
    if !after.is_empty() {
        outcome.diffs.push(Diff { subject: "packages".to_owned(), before: String::new(), after });
    }
    for (name, more) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        let text = outcome.values.get(name).and_then(Value::as_str).unwrap_or_default().to_owned() + more;
        outcome.values.insert(format!("{name}_lines"), json!(text.lines().collect::<Vec<_>>()));
        outcome.values.insert(name.to_owned(), json!(text));
    }
}
