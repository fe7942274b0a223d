//! A working copy, and the program that works on it.

use crate::module::Failed;
use crate::module::git::place::Place;
use crate::module::program::{self, Ran, Setting};

/// A working copy.
pub(super) struct Copy<'a> {
    /// Where it is.
    pub(super) place: Place<'a>,
    /// The program.
    pub(super) program: String,
}

impl Copy<'_> {
    /// Runs `git` with `words`, in the working copy if it is there.
    pub(super) fn git(&self, words: &[&str]) -> Result<Ran, Failed> {
        let place = &self.place;
        let words: Vec<String> =
            std::iter::once(self.program.clone()).chain(words.iter().map(|it| (*it).to_owned())).collect();
        let directory = place.dest.as_ref().map(|dest| place.host.system.real(dest)).filter(|_| place.there());
        let variables = [("LC_ALL", "C.UTF-8"), ("LANGUAGE", "C"), ("GIT_TERMINAL_PROMPT", "0")];
        let mut variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        variables.push(("GIT_SSH_COMMAND".to_owned(), self.ssh()));
        let setting = Setting { directory, variables, ..Setting::default() };
        program::run(&words, &setting, place.host)
    }

    /// The same; it must end well. `doing`: how Ansible's message begins.
    pub(super) fn good(&self, words: &[&str], doing: &str) -> Result<String, Failed> {
        let ran = self.git(words)?;
        if ran.status == 0 {
            return Ok(ran.stdout);
        }
        let failed = Failed::new(format!("{doing}: {}", ran.stderr.trim()));
        Err(failed.with("rc", ran.status).with("stdout", ran.stdout).with("stderr", ran.stderr))
    }

    fn ssh(&self) -> String {
        let Place { arguments, host, .. } = &self.place;
        let mut line = "ssh -o BatchMode=yes".to_owned();
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        if arguments.accept_hostkey {
            line.push_str(" -o StrictHostKeyChecking=no");
        }
        if arguments.accept_newhostkey {
            line.push_str(" -o StrictHostKeyChecking=accept-new");
        }
        if let Some(options) = &arguments.ssh_opts {
            line.push(' ');
            line.push_str(options);
        }
        if let Some(key) = &arguments.key_file {
            line.extend([" -i ", &quoted(&host.system.path(key)), " -o IdentitiesOnly=yes"]);
        }
        line
    }

    /// The commit that is checked out.
    pub(super) fn commit(&self) -> Result<String, Failed> {
        Ok(self.good(&["rev-parse", "HEAD"], "Failed to read the version")?.trim().to_owned())
    }

    /// Whether files that belong to it are changed.
    pub(super) fn has_changes(&self) -> Result<bool, Failed> {
        if self.place.arguments.bare {
            return Ok(false);
        }
        let status = self.good(&["status", "--porcelain"], "Failed to look for local modifications")?;
        Ok(status.lines().any(|line| !line.is_empty() && !line.starts_with("??")))
    }

    pub(super) fn reset(&self) -> Result<(), Failed> {
        self.good(&["reset", "--hard", "HEAD"], "Failed to reset").map(|_| ())
    }

    pub(super) fn clone_it(&self) -> Result<(), Failed> {
        let Place { arguments, host, repo, .. } = &self.place;
        self.place.make_room()?;
        let real = host.system.real(self.place.path()).to_string_lossy().into_owned();
        let depth = arguments.depth.map(|depth| depth.to_string());
        let named = || -> Result<bool, Failed> {
            Ok(self.has_branch(repo, &arguments.version)? || self.has_tag(repo, &arguments.version)?)
        };
        let mut words = vec!["clone"];
        if arguments.bare {
            words.push("--bare");
        } else {
            words.extend(["--origin", &arguments.remote]);
        }
        let head = arguments.version == "HEAD" || arguments.refspec.is_some();
        let wanted = depth.is_some() || arguments.single_branch;
        let named = wanted && !head && named()?;
        if let Some(depth) = depth.as_ref().filter(|_| head || named) {
            words.extend(["--depth", depth]);
        }
        if let Some(reference) = &arguments.reference {
            words.extend(["--reference", reference]);
        }
        if arguments.single_branch {
            words.push("--single-branch");
        }
        if named {
            words.extend(["--branch", &arguments.version]);
        }
        words.extend(["--", repo, &real]);
        self.good(&words, "Failed to clone")?;
        if arguments.bare && arguments.remote != "origin" {
            self.good(&["remote", "add", &arguments.remote, repo], "Failed to add the remote")?;
        }
        if let Some(refspec) = &arguments.refspec {
            self.good(&["fetch", &arguments.remote, refspec], "Failed to fetch")?;
        }
        Ok(())
    }

    pub(super) fn fetch(&self) -> Result<(), Failed> {
        let Place { arguments, repo, .. } = &self.place;
        let (version, remote) = (&arguments.version, &arguments.remote);
        let mut words = vec!["fetch".to_owned()];
        let mut refspecs: Vec<String> = vec![];
        if let Some(depth) = arguments.depth {
            if let Some(refspec) = &arguments.refspec {
                refspecs.push(refspec.clone());
            } else if version == "HEAD" {
                refspecs.push(self.branch()?);
            } else if self.has_branch(repo, version)? {
                refspecs.push(format!("+refs/heads/{version}:refs/remotes/{remote}/{version}"));
            } else if self.has_tag(repo, version)? {
                refspecs.push(format!("+refs/tags/{version}:refs/tags/{version}"));
            }
            if !refspecs.is_empty() {
                words.extend(["--depth".to_owned(), depth.to_string()]);
            }
        }
        if refspecs.is_empty() {
            if arguments.bare {
                refspecs = vec!["+refs/heads/*:refs/heads/*".to_owned(), "+refs/tags/*:refs/tags/*".to_owned()];
            } else {
                words.push("--tags".to_owned());
            }
            refspecs.extend(arguments.refspec.clone());
        }
        words.extend(arguments.force.then(|| "--force".to_owned()));
        words.push(remote.clone());
        words.extend(refspecs);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.good(&words, "Failed to download remote objects and refs").map(|_| ())
    }

    /// Switches to the version wanted.
    pub(super) fn switch(&self) -> Result<(), Failed> {
        let (version, remote) = (&self.place.arguments.version, &self.place.arguments.remote);
        if version == "HEAD" {
            let branch = self.branch()?;
            self.good(&["checkout", "--force", &branch], &format!("Failed to checkout branch {branch}"))?;
            let tip = format!("{remote}/{branch}");
            return self.good(&["reset", "--hard", &tip, "--"], "Failed to checkout branch HEAD").map(|_| ());
        }
        let failed = format!("Failed to checkout {version}");
        if !self.has_branch(remote, version)? {
            return self.good(&["checkout", "--force", version], &failed).map(|_| ());
        }
        let tip = format!("{remote}/{version}");
        let has = |name: String| Ok::<bool, Failed>(self.git(&["show-ref", "--verify", "--quiet", &name])?.status == 0);
        let local = has(format!("refs/heads/{version}"))?;
        if let Some(depth) = self.place.arguments.depth.filter(|_| !local) {
            // A shallow clone knows only the branch that it began with.
            self.good(&["remote", "set-branches", "--add", remote, version], &failed)?;
            if !has(format!("refs/remotes/{tip}"))? {
                let refspec = format!("+refs/heads/{version}:refs/remotes/{tip}");
                self.good(&["fetch", "--depth", &depth.to_string(), remote, &refspec], &failed)?;
            }
        }
        if !local {
            return self.good(&["checkout", "--force", "--track", "-b", version, &tip], &failed).map(|_| ());
        }
        self.good(&["checkout", "--force", version], &format!("Failed to checkout branch {version}"))?;
        self.good(&["reset", "--hard", &tip], &failed).map(|_| ())
    }

    /// The branch that is checked out, or the remote's main one.
    pub(super) fn branch(&self) -> Result<String, Failed> {
        let here = self.git(&["symbolic-ref", "-q", "--short", "HEAD"])?;
        if here.status == 0 {
            return Ok(here.stdout.trim().to_owned());
        }
        let name = format!("refs/remotes/{}/HEAD", self.place.arguments.remote);
        let there = self.good(&["symbolic-ref", "--short", &name], "Failed to find the main branch")?;
        let there = there.trim();
        Ok(there.strip_prefix(&format!("{}/", self.place.arguments.remote)).unwrap_or(there).to_owned())
    }

    /// Brings submodules to the commits that belong to the version; returns whether that changed something.
    pub(super) fn submodules(&self) -> Result<bool, Failed> {
        let Place { arguments, host, .. } = &self.place;
        if !host.system.real(&format!("{}/.gitmodules", self.place.path())).exists() {
            return Ok(false);
        }
        let status = || self.good(&["submodule", "status", "--recursive"], "Failed to look at the submodules");
        let before = status()?;
        let failed = "Failed to init/update submodules";
        self.good(&["submodule", "sync"], failed)?;
        let mut words = vec!["submodule", "update", "--init", "--recursive"];
        words.extend(arguments.track_submodules.then_some("--remote"));
        words.extend(arguments.force.then_some("--force"));
        self.good(&words, failed)?;
        Ok(status()? != before)
    }
}
