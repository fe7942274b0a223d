//! `apt`: Debian packages, through `apt-get` and `dpkg`.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::module::arguments::{Kind, Parameter};
use crate::module::command::matches;
use crate::module::program::{self, Ran, Setting};
use crate::module::{Call, Context, Diff, Error, Failed, Mode, Outcome, apart, text, typed};

mod status;

pub use status::{Package, packages};

/// What it may be told.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::new("state", Kind::Choice(&["absent", "build-dep", "fixed", "latest", "present"])),
    Parameter::new("name", Kind::List).or(&["package", "pkg"]),
    Parameter::new("update_cache", Kind::Flag).or(&["update-cache"]),
    Parameter::new("update_cache_retries", Kind::Integer),
    Parameter::new("update_cache_retry_max_delay", Kind::Integer),
    Parameter::new("cache_valid_time", Kind::Integer),
    Parameter::new("purge", Kind::Flag),
    Parameter::new("deb", Kind::Text),
    Parameter::new("default_release", Kind::Text).or(&["default-release"]),
    Parameter::new("install_recommends", Kind::Flag).or(&["install-recommends"]),
    Parameter::new("force", Kind::Flag),
    Parameter::new("upgrade", Kind::Choice(&["dist", "full", "no", "safe", "yes"])),
    Parameter::new("dpkg_options", Kind::Text),
    Parameter::new("autoremove", Kind::Flag),
    Parameter::new("autoclean", Kind::Flag),
    Parameter::new("clean", Kind::Flag),
    Parameter::new("fail_on_autoremove", Kind::Flag),
    Parameter::new("policy_rc_d", Kind::Integer),
    Parameter::new("only_upgrade", Kind::Flag),
    Parameter::new("force_apt_get", Kind::Flag),
    Parameter::new("allow_unauthenticated", Kind::Flag).or(&["allow-unauthenticated"]),
    Parameter::new("allow_downgrade", Kind::Flag).or(&["allow-downgrade", "allow_downgrades", "allow-downgrades"]),
    Parameter::new("allow_change_held_packages", Kind::Flag),
    Parameter::new("lock_timeout", Kind::Integer),
];

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters of the module, as Ansible names them")]
pub struct Arguments {
    /// Of the packages named.
    #[serde(default)]
    pub state: State,
    /// Packages, each possibly with `=VERSION` (`*` allowed) or `/RELEASE`.
    #[serde(default)]
    pub name: Vec<String>,
    /// Whether the package lists are fetched first. Nothing said: yes if `cache_valid_time` is given.
    pub update_cache: Option<bool>,
    /// How often fetching is tried.
    #[serde(default = "five")]
    pub update_cache_retries: i64,
    /// Most seconds between two tries.
    #[serde(default = "twelve")]
    pub update_cache_retry_max_delay: i64,
    /// Seconds for which fetched lists are good.
    #[serde(default)]
    pub cache_valid_time: i64,
    /// Whether configuration goes with a removed package.
    #[serde(default)]
    pub purge: bool,
    /// A package file, or its URL.
    pub deb: Option<String>,
    /// `-t`
    pub default_release: Option<String>,
    /// `APT::Install-Recommends`; as configured if not said.
    pub install_recommends: Option<bool>,
    /// `--force-yes`
    #[serde(default)]
    pub force: bool,
    /// What is upgraded.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// Options for dpkg without `--`, comma-separated.
    #[serde(default = "dpkg_options")]
    pub dpkg_options: String,
    /// Whether what nothing depends on goes.
    #[serde(default)]
    pub autoremove: bool,
    /// Whether old package files go.
    #[serde(default)]
    pub autoclean: bool,
    /// Whether all package files go.
    #[serde(default)]
    pub clean: bool,
    /// Whether it fails if something would be removed.
    #[serde(default)]
    pub fail_on_autoremove: bool,
    /// What `policy-rc.d` answers while services would be started.
    pub policy_rc_d: Option<i64>,
    /// Whether only installed packages are touched.
    #[serde(default)]
    pub only_upgrade: bool,
    /// Taken, without a meaning here: it is always `apt-get`.
    #[serde(default)]
    pub force_apt_get: bool,
    /// `--allow-unauthenticated`
    #[serde(default)]
    pub allow_unauthenticated: bool,
    /// `--allow-downgrades`
    #[serde(default)]
    pub allow_downgrade: bool,
    /// `--allow-change-held-packages`
    #[serde(default)]
    pub allow_change_held_packages: bool,
    /// Seconds to wait for another package manager.
    #[serde(default = "sixty")]
    pub lock_timeout: i64,
}

/// What the packages named shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Installed.
    #[default]
    Present,
    /// Not installed.
    Absent,
    /// Installed, in the newest version there is.
    Latest,
    /// What is needed to build them, installed.
    BuildDep,
    /// Installed, with broken dependencies mended.
    Fixed,
}

/// What is upgraded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upgrade {
    /// Nothing.
    #[default]
    No,
    /// What can be without removing anything; new packages come in (`apt-get upgrade --with-new-pkgs`).
    Yes,
    /// The same.
    Safe,
    /// Everything (`apt-get dist-upgrade`).
    Full,
    /// The same.
    Dist,
}

fn five() -> i64 {
    5
}

fn twelve() -> i64 {
    12
}

fn sixty() -> i64 {
    60
}

fn dpkg_options() -> String {
    "force-confdef,force-confold".to_owned()
}

pub(crate) fn parse(Call { arguments, .. }: Call) -> Result<Arguments, Error> {
    apart("apt", &arguments, &["deb", "name", "upgrade"])?;
    let doing = ["autoremove", "autoclean", "clean", "deb", "name", "update_cache", "upgrade", "cache_valid_time"];
    if !doing.iter().any(|name| arguments.contains_key(*name)) {
        return Err(Error::Missing { module: "apt".to_owned(), name: "name, deb, upgrade or update_cache".to_owned() });
    }
    typed("apt", arguments)
}

/// What `apt-get` says when nothing is to be done.
const NOTHING: &str = "0 upgraded, 0 newly installed, 0 to remove";

/// What the packages named call for, as `apt-get` takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// To install, possibly with a version.
    pub install: Vec<String>,
    /// To remove.
    pub remove: Vec<String>,
}

/// A package as a task names it.
struct Spec<'a> {
    name: &'a str,
    architecture: Option<&'a str>,
    relation: Option<(&'a str, &'a str)>,
}

impl<'a> Spec<'a> {
    fn new(text: &'a str) -> Self {
        let split = |by: &'static str| text.split_once(by).map(|(name, rest)| (name, Some((by, rest))));
        let (name, relation) = split(">=").or_else(|| split("=")).or_else(|| split("/")).unwrap_or((text, None));
        let (name, architecture) = name.split_once(':').map_or((name, None), |(name, it)| (name, Some(it)));
        Self { name, architecture, relation }
    }

    fn is(&self, package: &Package) -> bool {
        package.name == self.name && self.architecture.is_none_or(|it| it == package.architecture || it == "any")
    }
}

/// Says what is to be installed or removed, from what dpkg knows alone.
///
/// - A version is compared as a pattern (`1.2*`); what calls for more (`latest`, `>=`, a release) is left to
///   `apt-get`, which finds that nothing is to be done if so.
/// - A name that exactly one installed package provides counts as installed.
pub fn plan(arguments: &Arguments, known: &[Package]) -> Wanted {
    let mut wanted = Wanted::default();
    for text in arguments.name.iter().map(|name| name.trim()).filter(|name| !name.is_empty() && *name != "*") {
        let spec = Spec::new(text);
        let found = known.iter().find(|package| spec.is(package) && package.installed());
        match arguments.state {
            State::Absent => {
                let left = |it: &Package| it.installed() || (arguments.purge && it.state == "config-files");
                let matching = |it: &&Package| spec.is(it) || matches(&it.name, spec.name);
                let gone = known.iter().filter(matching).filter(|it| left(it)).filter(|it| fits(&spec, it));
                wanted.remove.extend(gone.map(|it| if spec.is(it) { unversioned(text) } else { it.name.clone() }));
            }
            State::Present => {
                let provided =
                    || known.iter().filter(|it| it.installed() && it.provides.iter().any(|p| p == spec.name));
                let there = match (found, spec.relation) {
                    (Some(package), _) => fits(&spec, package),
                    (None, None) => provided().count() == 1,
                    (None, Some(_)) => false,
                };
                let skipped = arguments.only_upgrade && found.is_none();
                if !there && !skipped {
                    wanted.install.push(text.to_owned());
                }
            }
            State::Latest if arguments.only_upgrade && found.is_none() => {}
            State::Latest | State::BuildDep | State::Fixed => wanted.install.push(text.to_owned()),
        }
    }
    wanted
}

fn unversioned(text: &str) -> String {
    let spec = Spec::new(text);
    spec.architecture.map_or_else(|| spec.name.to_owned(), |it| format!("{}:{it}", spec.name))
}

fn fits(spec: &Spec, package: &Package) -> bool {
    match spec.relation {
        None => true,
        Some(("=", version)) => matches(&package.version, version),
        Some(_) => false,
    }
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let apt = Apt { arguments, host, mode, deadline: deadline(arguments) };
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

fn deadline(arguments: &Arguments) -> Instant {
    Instant::now() + Duration::from_secs(u64::try_from(arguments.lock_timeout).unwrap_or(0))
}

/// `apt-get` on the host.
struct Apt<'a> {
    arguments: &'a Arguments,
    host: &'a Context<'a>,
    mode: Mode,
    deadline: Instant,
}

impl Apt<'_> {
    /// When the package lists were last fetched.
    fn fetched(&self) -> Option<SystemTime> {
        let modified = |path: &str| self.host.system.real(path).metadata().and_then(|it| it.modified()).ok();
        modified("/var/lib/apt/periodic/update-success-stamp").or_else(|| modified("/var/lib/apt/lists"))
    }

    /// Fetches the package lists, again after a while if it fails.
    fn update(&self) -> Result<(), Failed> {
        let longest = u64::try_from(self.arguments.update_cache_retry_max_delay).unwrap_or(0);
        let tries = self.arguments.update_cache_retries.max(1);
        for number in 1..=tries {
            let ran = self.run(&["apt-get".to_owned(), "-q".to_owned(), "update".to_owned()])?;
            // A list that could not be fetched is a mere warning to `apt-get`.
            let incomplete = ran.stderr.contains("Some index files failed to download");
            if ran.status == 0 && !incomplete {
                return Ok(());
            }
            if number == tries {
                return Err(failed(&format!("Failed to update apt cache: {}", ran.stderr.trim()), &ran));
            }
            thread::sleep(Duration::from_secs(longest.min(1 << (number - 1).min(20))));
        }
        Ok(())
    }

    /// What `apt-get` is to do, in order, its options left out.
    fn acts(&self) -> Result<Vec<Vec<String>>, Failed> {
        let arguments = self.arguments;
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let mut acts = vec![];
        let all = arguments.state == State::Latest && arguments.name.iter().any(|name| name == "*");
        match arguments.upgrade {
            Upgrade::Dist | Upgrade::Full => acts.push(words(&["dist-upgrade"])),
            Upgrade::Yes | Upgrade::Safe => acts.push(words(&["upgrade", "--with-new-pkgs"])),
            Upgrade::No if all => acts.push(words(&["upgrade", "--with-new-pkgs"])),
            Upgrade::No => {}
        }
        if let Some(deb) = &arguments.deb {
            acts.extend(self.deb(deb)?.map(|path| words(&["install", &path])));
        }
        let status = text::read("/var/lib/dpkg/status", self.host.system)?.unwrap_or_default();
        let named = Arguments { name: self.expanded()?, ..arguments.clone() };
        let wanted = plan(&named, &packages(&String::from_utf8_lossy(&status)));
        let verb = match arguments.state {
            State::BuildDep => "build-dep",
            State::Fixed => "--fix-broken",
            _ => "install",
        };
        if !wanted.install.is_empty() {
            let install = if verb.starts_with('-') { words(&[verb, "install"]) } else { words(&[verb]) };
            acts.push([install, wanted.install].concat());
        } else if arguments.state == State::Fixed {
            acts.push(words(&[verb, "install"]));
        }
        if !wanted.remove.is_empty() {
            acts.push([words(&["remove"]), wanted.remove].concat());
        }
        if arguments.name.is_empty() {
            acts.extend(arguments.autoclean.then(|| words(&["autoclean"])));
            let upgrading = arguments.upgrade != Upgrade::No;
            acts.extend((arguments.autoremove && !upgrading).then(|| words(&["autoremove"])));
        }
        Ok(acts)
    }

    /// The packages named, patterns replaced by what they match.
    fn expanded(&self) -> Result<Vec<String>, Failed> {
        let named = &self.arguments.name;
        let pattern = |text: &str| Spec::new(text).name.contains(['*', '?', '[']) && text != "*";
        if self.arguments.state == State::Absent || !named.iter().any(|name| pattern(name)) {
            return Ok(named.clone());
        }
        let known = self.run(&["apt-cache".to_owned(), "pkgnames".to_owned()])?.stdout;
        let mut expanded = vec![];
        for text in named {
            if pattern(text) {
                let name = Spec::new(text).name;
                let found = known.lines().filter(|it| matches(it, name)).map(str::to_owned).collect::<Vec<_>>();
                if found.is_empty() {
                    return Err(Failed::new(format!("No package(s) matching '{text}' available")));
                }
                expanded.extend(found);
            } else {
                expanded.push(text.clone());
            }
        }
        Ok(expanded)
    }

    /// The package file to install, fetched if it is elsewhere; nothing if what it holds is installed.
    fn deb(&self, deb: &str) -> Result<Option<String>, Failed> {
        let path = if deb.contains("://") {
            let name = deb.rsplit('/').next().unwrap_or("package.deb");
            let path = format!("/var/cache/apt/archives/partial/ryo-{:016x}-{name}", rand::random::<u64>());
            let words = ["/usr/lib/apt/apt-helper", "download-file", deb, &path].map(str::to_owned);
            let ran = self.run(&words)?;
            if ran.status != 0 {
                return Err(failed(&format!("Failure downloading {deb}"), &ran));
            }
            path
        } else {
            self.host.system.path(deb)
        };
        let words = ["dpkg-deb", "-f", &path, "Package", "Architecture", "Version"].map(str::to_owned);
        let ran = self.run(&words)?;
        if ran.status != 0 {
            return Err(failed(&format!("Unable to install package: {}", ran.stderr.trim()), &ran));
        }
        let status = text::read("/var/lib/dpkg/status", self.host.system)?.unwrap_or_default();
        let known = packages(&String::from_utf8_lossy(&status));
        let inside = packages(&ran.stdout).into_iter().next().unwrap_or_default();
        let there = known.iter().find(|it| it.name == inside.name && it.installed());
        let newer = match there {
            Some(there) if there.version == inside.version => false,
            Some(there) if !self.arguments.allow_downgrade => {
                let words = ["dpkg", "--compare-versions", &inside.version, "gt", &there.version].map(str::to_owned);
                self.run(&words)?.status == 0
            }
            _ => true,
        };
        Ok(newer.then_some(path))
    }

    /// Runs `apt-get` with the options of the task; in check mode it only simulates.
    fn get(&self, act: &[&str]) -> Result<Ran, Failed> {
        let arguments = self.arguments;
        let mut words = vec!["apt-get".to_owned(), "-q".to_owned(), "-y".to_owned()];
        for option in arguments.dpkg_options.split(',').filter(|option| !option.is_empty()) {
            words.extend(["-o".to_owned(), format!("Dpkg::Options::=--{option}")]);
        }
        let release = arguments.default_release.as_ref();
        words.extend(release.into_iter().flat_map(|release| ["-t".to_owned(), release.clone()]));
        let recommends = |yes: bool| format!("APT::Install-Recommends={}", if yes { "yes" } else { "no" });
        words.extend(arguments.install_recommends.into_iter().flat_map(|it| ["-o".to_owned(), recommends(it)]));
        for (given, option) in [
            (self.mode == Mode::Check, "--simulate"),
            (arguments.purge, "--purge"),
            (arguments.autoremove && act.first() != Some(&"autoremove"), "--auto-remove"),
            (arguments.fail_on_autoremove, "--no-remove"),
            (arguments.only_upgrade, "--only-upgrade"),
            (arguments.allow_unauthenticated, "--allow-unauthenticated"),
            (arguments.allow_downgrade, "--allow-downgrades"),
            (arguments.allow_change_held_packages, "--allow-change-held-packages"),
            (arguments.force, "--force-yes"),
        ] {
            words.extend(given.then(|| option.to_owned()));
        }
        words.extend(act.iter().map(|word| (*word).to_owned()));
        let ran = self.run(&words)?;
        if ran.status == 0 {
            return Ok(ran);
        }
        let unknown = ran.stderr.lines().find_map(|line| line.split_once("Unable to locate package "));
        Err(match unknown {
            Some((_, name)) => failed(&format!("No package matching '{name}' is available"), &ran),
            None => failed(&format!("'{}' failed: {}", words.join(" "), ran.stderr.trim()), &ran),
        })
    }

    /// Runs words, again as long as another package manager is at work and there is time.
    fn run(&self, words: &[String]) -> Result<Ran, Failed> {
        let quiet = [("DEBIAN_FRONTEND", "noninteractive"), ("DEBIAN_PRIORITY", "critical"), ("LC_ALL", "C.UTF-8")];
        let variables = quiet.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let setting = Setting { variables, ..Setting::default() };
        loop {
            let ran = program::run(words, &setting, self.host)?;
            let taken = ["Could not get lock", "Unable to acquire the dpkg frontend lock", "Unable to lock"];
            let busy = ran.status != 0 && taken.iter().any(|said| ran.stderr.contains(said));
            if !busy || Instant::now() >= self.deadline {
                return Ok(ran);
            }
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// Puts a `policy-rc.d` in place while services would be started.
    fn policy(&self) -> Result<Option<Policy>, Failed> {
        let Some(answer) = self.arguments.policy_rc_d else { return Ok(None) };
        let path = self.host.system.real("/usr/sbin/policy-rc.d");
        let told = |error: std::io::Error| Failed::new(format!("cannot write {}: {error}", path.display()));
        let before = std::fs::read(&path).ok();
        std::fs::write(&path, format!("#!/bin/sh\nexit {answer}\n")).map_err(told)?;
        let guard = Policy { path: path.clone(), before };
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).map_err(told)?;
        Ok(Some(guard))
    }
}

/// Puts back what was in the place of our `policy-rc.d`.
struct Policy {
    path: std::path::PathBuf,
    before: Option<Vec<u8>>,
}

impl Drop for Policy {
    fn drop(&mut self) {
        let _ = match &self.before {
            Some(before) => std::fs::write(&self.path, before),
            None => std::fs::remove_file(&self.path),
        };
    }
}

fn failed(why: &str, ran: &Ran) -> Failed {
    Failed::new(why).with("rc", ran.status).with("stdout", ran.stdout.clone()).with("stderr", ran.stderr.clone())
}
