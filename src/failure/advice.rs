//! What to do about an error: who can mend it, and how. One function for each kind of error, exhaustive.

use std::error::Error as StdError;

use self::flows::{backup, control, file, history, host, restore, step};
use self::servers::{agent, backend, consul, git, lxd, playbook, program, sql, ssh};
use crate::backend::program;
use crate::failure::{Failure, Kind};
use crate::flow::schedule::Scope;
use crate::flow::{apply, backup, control, fresh, history, host, look, restore, rollback, schedule, session, unit};
use crate::machine::Lost;
use crate::{agent, consul, git, lxd, playbook, ssh, ui};

mod flows;
mod servers;

/// Who can mend an error, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Who.
    pub kind: Kind,
    /// How, most likely first.
    pub hints: Vec<String>,
}

impl Advice {
    fn world() -> Self {
        Self { kind: Kind::World, hints: vec![] }
    }

    fn of(kind: Kind, hint: &str) -> Self {
        Self { kind, hints: vec![hint.to_owned()] }
    }
}

/// The hint of every flow that stopped in the middle.
const AGAIN: &str = "run the same command again: what is done is found done";

/// The hint when an instance is back, and only that.
const BACK: &str = "what this run did before stays done, but for Consul keys that it wrote for the new one alone: \
                    `ryo rollback --to VERSION` takes it back";

/// The same where Consul keys stay, too.
const BACK_WITH_KEYS: &str =
    "what this run did before stays done, Consul keys too: `ryo rollback --to VERSION` takes it back";

impl Failure {
    fn advised(error: impl StdError + Send + Sync + 'static, advice: Advice) -> Self {
        Self { kind: advice.kind, error: Box::new(error), hints: advice.hints }
    }
}

impl From<ssh::Error> for Failure {
    fn from(error: ssh::Error) -> Self {
        let advice = ssh(&error);
        Self::advised(error, advice)
    }
}

impl From<lxd::Error> for Failure {
    fn from(error: lxd::Error) -> Self {
        let advice = lxd(&error);
        Self::advised(error, advice)
    }
}

impl From<agent::Error> for Failure {
    fn from(error: agent::Error) -> Self {
        let advice = agent(&error);
        Self::advised(error, advice)
    }
}

impl From<Lost> for Failure {
    fn from(error: Lost) -> Self {
        Self::advised(error, Advice::world())
    }
}

impl From<program::Error> for Failure {
    fn from(error: program::Error) -> Self {
        let advice = program(&error);
        Self::advised(error, advice)
    }
}

impl From<playbook::Error> for Failure {
    fn from(error: playbook::Error) -> Self {
        let advice = playbook(&error);
        Self::advised(error, advice)
    }
}

impl From<look::Error> for Failure {
    fn from(error: look::Error) -> Self {
        let advice = match &error {
            look::Error::Lxd(error) => lxd(error),
            look::Error::Consul(error) => consul(error),
            look::Error::Agent(error) => agent(error),
            look::Error::HostSetup(error) => backend(error),
            look::Error::File(error) => file(error),
            look::Error::Sql(error) => self::sql(error),
            look::Error::Fixed { .. } => Advice::of(
                Kind::Request,
                "write into the files what it is, or copy it into a new database, exchange the two by hand and deploy again",
            ),
            look::Error::Index { key, .. } => {
                Advice::of(Kind::World, &format!("remove the key `{key}`: it is made anew by the next deployment"))
            }
        };
        Self::advised(error, advice)
    }
}

impl From<host::status::Error> for Failure {
    fn from(error: host::status::Error) -> Self {
        match error {
            host::status::Error::Lxd(error) => error.into(),
            host::status::Error::Agent(error) => error.into(),
        }
    }
}

impl From<session::Error> for Failure {
    fn from(error: session::Error) -> Self {
        match error {
            session::Error::Look(error) => error.into(),
            session::Error::Unit(error) => error.into(),
        }
    }
}

impl From<backup::Error> for Failure {
    fn from(error: backup::Error) -> Self {
        let advice = backup(&error);
        Self::advised(error, advice)
    }
}

impl From<schedule::Error> for Failure {
    fn from(error: schedule::Error) -> Self {
        let advice = match &error {
            schedule::Error::Nobody { scope: Scope::System, .. } => {
                Advice::of(Kind::World, "run `ryo backup` from whatever starts things here at certain times")
            }
            schedule::Error::Nobody { scope: Scope::User, .. } => Advice::of(
                Kind::World,
                "log in as this account itself (not with `su`), or have root run `loginctl enable-linger` for it",
            ),
            schedule::Error::Calendar { .. } => {
                Advice::of(Kind::Request, "`man systemd.time` says how they are written, e.g. `Mon..Fri 22:30`")
            }
            schedule::Error::Word(_) => Advice { kind: Kind::Request, hints: vec![] },
            schedule::Error::Refused { .. } | schedule::Error::File { .. } | schedule::Error::Lost(_) => {
                Advice::world()
            }
        };
        Self::advised(error, advice)
    }
}

impl From<restore::Error> for Failure {
    fn from(error: restore::Error) -> Self {
        let advice = restore(&error);
        Self::advised(error, advice)
    }
}

impl From<history::Error> for Failure {
    fn from(error: history::Error) -> Self {
        let advice = history(&error);
        Self::advised(error, advice)
    }
}

impl From<rollback::Error> for Failure {
    fn from(error: rollback::Error) -> Self {
        match error {
            rollback::Error::Look(error) => error.into(),
            rollback::Error::Unit(error) => error.into(),
            rollback::Error::History(error) => error.into(),
            rollback::Error::Lxd(error) => error.into(),
        }
    }
}

impl From<unit::Error> for Failure {
    fn from(error: unit::Error) -> Self {
        let advice = match &error {
            unit::Error::Problems(_) => Advice { kind: Kind::Request, hints: vec![] },
            unit::Error::Image(error) => lxd(error),
            unit::Error::Inputs(_) | unit::Error::Writes(_) => Advice::world(),
        };
        Self::advised(error, advice)
    }
}

impl From<ui::Error> for Failure {
    fn from(error: ui::Error) -> Self {
        let advice = match &error {
            ui::Error::NoTerminal { flag, .. } => Advice::of(Kind::Request, &format!("give `{flag}`")),
            ui::Error::Interrupted { .. } => Advice { kind: Kind::Interrupted, hints: vec![] },
            ui::Error::Terminal { .. } => Advice::world(),
        };
        Self::advised(error, advice)
    }
}

impl From<git::Error> for Failure {
    fn from(error: git::Error) -> Self {
        let advice = git(&error);
        Self::advised(error, advice)
    }
}

impl From<consul::Error> for Failure {
    fn from(error: consul::Error) -> Self {
        let advice = consul(&error);
        Self::advised(error, advice)
    }
}

impl From<host::Error> for Failure {
    fn from(error: host::Error) -> Self {
        let advice = host(&error);
        Self::advised(error, advice)
    }
}

impl From<control::Error> for Failure {
    fn from(error: control::Error) -> Self {
        let advice = control(&error);
        Self::advised(error, advice)
    }
}

impl From<fresh::Error> for Failure {
    fn from(error: fresh::Error) -> Self {
        Self::advised(error, Advice::world())
    }
}

impl From<apply::Stopped> for Failure {
    fn from(stopped: apply::Stopped) -> Self {
        let mut advice = match &stopped {
            apply::Stopped::Failed { source, .. } => step(source),
            apply::Stopped::Down { source, .. } => {
                let Advice { mut hints, .. } = step(source);
                hints.push("the archives are whole; the next deployment starts the instance again".to_owned());
                return Self::advised(stopped, Advice { kind: Kind::Partly, hints });
            }
            apply::Stopped::Interrupted { .. } => Advice { kind: Kind::Interrupted, hints: vec![] },
        };
        advice.hints.push(AGAIN.to_owned());
        Self::advised(stopped, advice)
    }
}
