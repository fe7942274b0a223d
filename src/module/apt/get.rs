//! `apt-get` and `dpkg`.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::module::apt::wanted::{Spec, plan};
use crate::module::apt::{Arguments, State, Upgrade, deb, lists, packages};
use crate::module::command::matches;
use crate::module::program::{self, Ran, Setting};
use crate::module::{Context, Failed, Mode, text};

fn deadline(arguments: &Arguments) -> Instant {
    Instant::now() + Duration::from_secs(u64::try_from(arguments.lock_timeout).unwrap_or(0))
}

/// `apt-get` on the host.
pub(crate) struct Apt<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) host: &'a Context<'a>,
    mode: Mode,
    deadline: Instant,
}

impl<'a> Apt<'a> {
    pub(crate) fn new(arguments: &'a Arguments, host: &'a Context<'a>, mode: Mode) -> Self {
        Self { arguments, host, mode, deadline: deadline(arguments) }
    }

    /// When the package lists were last fetched.
    pub(super) fn fetched(&self) -> Option<SystemTime> {
        let modified = |path: &str| self.host.system.real(path).metadata().and_then(|it| it.modified()).ok();
        modified("/var/lib/apt/periodic/update-success-stamp").or_else(|| modified("/var/lib/apt/lists"))
    }

    /// Fetches the package lists, again after a while if it fails.
    pub(crate) fn update(&self) -> Result<(), Failed> {
        if lists::serve(self.host.system) {
            return Ok(());
        }
        let longest = u64::try_from(self.arguments.update_cache_retry_max_delay).unwrap_or(0);
        let tries = self.arguments.update_cache_retries.max(1);
        for number in 1..=tries {
            let ran = self.run(&["apt-get".to_owned(), "-q".to_owned(), "update".to_owned()])?;
            // A list that could not be fetched is a mere warning to `apt-get`.
            let incomplete = ran.stderr.contains("Some index files failed to download");
            if ran.status == 0 && !incomplete {
                lists::fetched(self.host.system);
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
    pub(crate) fn acts(&self) -> Result<Vec<Vec<String>>, Failed> {
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
            let wanted = deb::wanted(self, deb)?;
            if !wanted.is_empty() {
                acts.push([words(&["install"]), wanted].concat());
            }
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

    /// Runs `apt-get` with the options of the task; in check mode it only simulates.
    pub(crate) fn get(&self, act: &[&str]) -> Result<Ran, Failed> {
        let arguments = self.arguments;
        let mut words = vec!["apt-get".to_owned(), "-q".to_owned(), "-y".to_owned()];
        for option in arguments.dpkg_options.split(',').filter(|option| !option.is_empty()) {
            words.extend(["-o".to_owned(), format!("Dpkg::Options::=--{option}")]);
        }
        if lists::is_of_an_image(self.host.system) {
            // What has not reached the disk when the machine breaks down is an image that is built again anyway.
            words.extend(["-o".to_owned(), "Dpkg::Options::=--force-unsafe-io".to_owned()]);
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
    pub(super) fn run(&self, words: &[String]) -> Result<Ran, Failed> {
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
    pub(crate) fn policy(&self) -> Result<Option<Policy>, Failed> {
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
pub(crate) struct Policy {
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

pub(super) fn failed(why: &str, ran: &Ran) -> Failed {
    Failed::new(why).with("rc", ran.status).with("stdout", ran.stdout.clone()).with("stderr", ran.stderr.clone())
}
