//! A working copy, and the program that works on it.

use std::fs;

use crate::module::git::Arguments;
use crate::module::program::{self, Ran, Setting};
use crate::module::{Context, Failed};

/// A working copy.
pub(super) struct Copy<'a> {
    pub(super) arguments: &'a Arguments,
    host: &'a Context<'a>,
    /// Where it is.
    pub(super) dest: Option<String>,
    /// Where it comes from.
    pub(super) repo: String,
    /// What holds its configuration.
    folder: String,
}

impl<'a> Copy<'a> {
    pub(super) fn new(arguments: &'a Arguments, host: &'a Context<'a>) -> Result<Self, Failed> {
        let dest = arguments.dest.as_ref().map(|dest| host.system.path(dest).trim_end_matches('/').to_owned());
        let repo = host.system.home(&arguments.repo);
        // Only so, the depth of a repository of this machine counts.
        let repo = if repo.starts_with('/') { format!("file://{repo}") } else { repo };
        let folder = match &dest {
            Some(dest) if arguments.bare => dest.clone(),
            Some(dest) => folder(dest, host)?,
            None => String::new(),
        };
        Ok(Self { arguments, host, dest, repo, folder })
    }

    /// Whether there is a repository.
    pub(super) fn there(&self) -> bool {
        self.dest.is_some() && self.host.system.real(&format!("{}/config", self.folder)).exists()
    }

    fn program(&self) -> Result<String, Failed> {
        match &self.arguments.executable {
            Some(path) => Ok(self.host.system.path(path)),
            None => program::required("git", self.host),
        }
    }

    /// Runs `git` with `words`, in the working copy if it is there.
    pub(super) fn git(&self, words: &[&str]) -> Result<Ran, Failed> {
        let words: Vec<String> =
            std::iter::once(self.program()?).chain(words.iter().map(|it| (*it).to_owned())).collect();
        let directory = self.dest.as_ref().map(|dest| self.host.system.real(dest)).filter(|_| self.there());
        let variables = [("LC_ALL", "C.UTF-8"), ("LANGUAGE", "C"), ("GIT_TERMINAL_PROMPT", "0")];
        let mut variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        variables.push(("GIT_SSH_COMMAND".to_owned(), self.ssh()));
        let setting = Setting { directory, variables, ..Setting::default() };
        program::run(&words, &setting, self.host)
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
        let mut line = "ssh -o BatchMode=yes".to_owned();
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        if self.arguments.accept_hostkey {
            line.push_str(" -o StrictHostKeyChecking=no");
        }
        if self.arguments.accept_newhostkey {
            line.push_str(" -o StrictHostKeyChecking=accept-new");
        }
        if let Some(options) = &self.arguments.ssh_opts {
            line.push(' ');
            line.push_str(options);
        }
        if let Some(key) = &self.arguments.key_file {
            line.extend([" -i ", &quoted(&self.host.system.path(key)), " -o IdentitiesOnly=yes"]);
        }
        line
    }

    /// The commit that is checked out.
    pub(super) fn commit(&self) -> Result<String, Failed> {
        Ok(self.good(&["rev-parse", "HEAD"], "Failed to read the version")?.trim().to_owned())
    }

    /// Whether files that belong to it are changed.
    pub(super) fn has_changes(&self) -> Result<bool, Failed> {
        if self.arguments.bare {
            return Ok(false);
        }
        let status = self.good(&["status", "--porcelain"], "Failed to look for local modifications")?;
        Ok(status.lines().any(|line| !line.is_empty() && !line.starts_with("??")))
    }

    pub(super) fn reset(&self) -> Result<(), Failed> {
        self.good(&["reset", "--hard", "HEAD"], "Failed to reset").map(|_| ())
    }

    pub(super) fn clone_it(&self) -> Result<(), Failed> {
        let arguments = self.arguments;
        let dest = self.dest.clone().unwrap_or_default();
        let above = dest.rsplit_once('/').map_or("/", |(above, _)| above);
        let told = |error| Failed::new(format!("cannot create directory {above}: {error}"));
        fs::create_dir_all(self.host.system.real(above)).map_err(told)?;
        let real = self.host.system.real(&dest).to_string_lossy().into_owned();
        let depth = arguments.depth.map(|depth| depth.to_string());
        let named = || -> Result<bool, Failed> {
            Ok(self.has_branch(&self.repo, &arguments.version)? || self.has_tag(&self.repo, &arguments.version)?)
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
        words.extend(["--", &self.repo, &real]);
        self.good(&words, "Failed to clone")?;
        if arguments.bare && arguments.remote != "origin" {
            self.good(&["remote", "add", &arguments.remote, &self.repo], "Failed to add the remote")?;
        }
        if let Some(refspec) = &arguments.refspec {
            self.good(&["fetch", &arguments.remote, refspec], "Failed to fetch")?;
        }
        Ok(())
    }

    pub(super) fn fetch(&self) -> Result<(), Failed> {
        let arguments = self.arguments;
        let (version, remote) = (&arguments.version, &arguments.remote);
        let mut words = vec!["fetch".to_owned()];
        let mut refspecs: Vec<String> = vec![];
        if let Some(depth) = arguments.depth {
            if let Some(refspec) = &arguments.refspec {
                refspecs.push(refspec.clone());
            } else if version == "HEAD" {
                refspecs.push(self.branch()?);
            } else if self.has_branch(&self.repo, version)? {
                refspecs.push(format!("+refs/heads/{version}:refs/remotes/{remote}/{version}"));
            } else if self.has_tag(&self.repo, version)? {
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
        let (version, remote) = (&self.arguments.version, &self.arguments.remote);
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
        if let Some(depth) = self.arguments.depth.filter(|_| !local) {
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
        let name = format!("refs/remotes/{}/HEAD", self.arguments.remote);
        let there = self.good(&["symbolic-ref", "--short", &name], "Failed to find the main branch")?;
        let there = there.trim();
        Ok(there.strip_prefix(&format!("{}/", self.arguments.remote)).unwrap_or(there).to_owned())
    }

    /// Brings submodules to the commits that belong to the version; returns whether that changed something.
    pub(super) fn submodules(&self) -> Result<bool, Failed> {
        let dest = self.dest.clone().unwrap_or_default();
        if !self.host.system.real(&format!("{dest}/.gitmodules")).exists() {
            return Ok(false);
        }
        let status = || self.good(&["submodule", "status", "--recursive"], "Failed to look at the submodules");
        let before = status()?;
        let failed = "Failed to init/update submodules";
        self.good(&["submodule", "sync"], failed)?;
        let mut words = vec!["submodule", "update", "--init", "--recursive"];
        words.extend(self.arguments.track_submodules.then_some("--remote"));
        words.extend(self.arguments.force.then_some("--force"));
        self.good(&words, failed)?;
        Ok(status()? != before)
    }
}

/// Where a working copy keeps its repository: `.git`, or what a file of this name says.
fn folder(dest: &str, host: &Context) -> Result<String, Failed> {
    let path = format!("{dest}/.git");
    let real = host.system.real(&path);
    if !real.is_file() {
        return Ok(path);
    }
    let told = |error: std::io::Error| Failed::new(format!("cannot read {path}: {error}"));
    let text = fs::read_to_string(&real).map_err(told)?;
    let wrong = || Failed::new("Current repo does not have a valid reference to a separate Git dir");
    let named = text.trim().strip_prefix("gitdir:").map(str::trim).ok_or_else(wrong)?;
    Ok(if named.starts_with('/') { named.to_owned() } else { format!("{dest}/{named}") })
}
