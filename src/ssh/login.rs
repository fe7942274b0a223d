//! Logging in: the target's key, the agent's keys, the account's keys, the password.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use crate::secret::Secret;
use crate::ssh::connect::Line;
use crate::ssh::host_key::{self, Ended};
use crate::ssh::keys::{self, Key};
use crate::ssh::{Error, Settings, Target};

/// A server hangs up after six refusals (`MaxAuthTries`).
const MOST_KEYS: usize = 5;
/// The same, with a password to be tried in two ways.
const MOST_KEYS_BEFORE_A_PASSWORD: usize = 3;
/// Questions of a server that are answered before we give up.
const MOST_QUESTIONS: usize = 8;

/// Logs in to `target`.
pub(super) async fn login(line: &mut Line, target: &Target, settings: &Settings) -> Result<(), Error> {
    let mut login = Login {
        line,
        target,
        within: settings.timeout,
        tried: vec![],
        offered: vec![],
        allowed: MethodSet::empty(),
        accepts: vec![],
        inside: false,
    };
    let first = in_time(settings.timeout, login.line.handle.authenticate_none(&target.user)).await;
    login.note(first)?;
    login.keys(settings).await?;
    if let Some(password) = &target.password {
        login.password(password).await?;
        login.questions(password).await?;
    }
    if login.inside { Ok(()) } else { Err(login.refused()) }
}

struct Login<'a> {
    line: &'a mut Line,
    target: &'a Target,
    /// How long the server may take for an answer.
    within: Duration,
    tried: Vec<String>,
    offered: Vec<PublicKey>,
    /// What may be tried now.
    allowed: MethodSet,
    /// What the server would take for the next step of a login.
    accepts: Vec<String>,
    inside: bool,
}

impl Login<'_> {
    async fn keys(&mut self, settings: &Settings) -> Result<(), Error> {
        let mut locked = None;
        if let Some(path) = &self.target.key {
            match keys::read(path, settings.passphrase.clone()).await {
                Ok(Key::Open(key)) => self.key(format!("key `{}`", path.display()), key).await?,
                Ok(Key::Locked(public)) => locked = Some((path, public)),
                Err(source) => return Err(Error::Key { path: path.clone(), source: source.into() }),
            }
        }
        // An agent may hold the target's key opened.
        self.agent_keys(settings, locked.as_ref().and_then(|(_, public)| public.as_ref())).await?;
        if let (Some((path, _)), false) = (locked, self.inside) {
            return Err(Error::KeyEncrypted { path: path.clone() });
        }
        for path in &settings.keys {
            self.usual_key(path).await?;
        }
        Ok(())
    }

    /// Tries a key that may be there or not; one that cannot be used is named, not an error.
    async fn usual_key(&mut self, path: &PathBuf) -> Result<(), Error> {
        if !self.may(MethodKind::PublicKey) || self.target.key.as_ref() == Some(path) || !path.exists() {
            return Ok(());
        }
        let name = format!("key `{}`", path.display());
        match keys::read(path, None).await {
            Ok(Key::Open(key)) => self.key(name, key).await,
            Ok(Key::Locked(_)) => {
                self.tried.push(format!("{name} (encrypted, not used)"));
                Ok(())
            }
            Err(_) => {
                self.tried.push(format!("{name} (cannot be read)"));
                Ok(())
            }
        }
    }

    async fn key(&mut self, name: String, key: Arc<PrivateKey>) -> Result<(), Error> {
        if !self.may(MethodKind::PublicKey) || !self.first_time(key.public_key()) {
            return Ok(());
        }
        self.tried.push(name);
        let hash = self.hash(key.public_key()).await;
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let outcome = in_time(self.within, self.line.handle.authenticate_publickey(&self.target.user, key)).await;
        self.note(outcome)
    }

    /// Tries the keys of the agent, `wanted` first.
    async fn agent_keys(&mut self, settings: &Settings, wanted: Option<&PublicKey>) -> Result<(), Error> {
        let Some(socket) = settings.agent.as_deref().filter(|_| self.may(MethodKind::PublicKey)) else {
            return Ok(());
        };
        let Some((mut agent, mut held)) = open_agent(socket).await else {
            self.tried.push(format!("agent at `{}` (does not answer)", socket.display()));
            return Ok(());
        };
        held.sort_by_key(|(key, _)| wanted.is_none_or(|wanted| wanted.key_data() != key.key_data()));
        for (key, comment) in held {
            if !self.may(MethodKind::PublicKey) || !self.first_time(&key) {
                continue;
            }
            self.tried.push(format!("agent key `{comment}`"));
            let hash = self.hash(&key).await;
            let signed = self.line.handle.authenticate_publickey_with(&self.target.user, key, hash, &mut agent).await;
            match signed {
                Ok(outcome) => self.note(Ok(outcome))?,
                // The agent declined, or the person behind it did: the next key may do.
                Err(_) if !self.line.handle.is_closed() => {}
                Err(_) => return Err(self.refused()),
            }
        }
        Ok(())
    }

    async fn password(&mut self, password: &Secret) -> Result<(), Error> {
        if !self.may(MethodKind::Password) {
            return Ok(());
        }
        self.tried.push("password".to_owned());
        let asked = self.line.handle.authenticate_password(&self.target.user, password.reveal());
        let outcome = in_time(self.within, asked).await;
        self.note(outcome)
    }

    /// Answers the server's first hidden question with the password, others not at all.
    async fn questions(&mut self, password: &Secret) -> Result<(), Error> {
        if !self.may(MethodKind::KeyboardInteractive) {
            return Ok(());
        }
        self.tried.push("keyboard-interactive".to_owned());
        let mut password = Some(password.reveal().to_owned());
        let asked = self.line.handle.authenticate_keyboard_interactive_start(&self.target.user, None);
        let mut answer = in_time(self.within, asked).await;
        for _ in 0..MOST_QUESTIONS {
            let prompts = match answer {
                Ok(Answer::InfoRequest { prompts, .. }) => prompts,
                Ok(Answer::Success) => return self.note(Ok(AuthResult::Success)),
                Ok(Answer::Failure { remaining_methods, partial_success }) => {
                    return self.note(Ok(AuthResult::Failure { remaining_methods, partial_success }));
                }
                Err(error) => return self.note(Err(error)),
            };
            let mut reply = |hidden: bool| if hidden { password.take() } else { None }.unwrap_or_default();
            let replies = prompts.iter().map(|prompt| reply(!prompt.echo)).collect();
            let replied = self.line.handle.authenticate_keyboard_interactive_respond(replies);
            answer = in_time(self.within, replied).await;
        }
        Ok(())
    }

    fn may(&self, method: MethodKind) -> bool {
        !self.inside && self.allowed.contains(&method)
    }

    /// Whether a key was not offered yet and there is room for one more.
    fn first_time(&mut self, key: &PublicKey) -> bool {
        let most = if self.target.password.is_some() { MOST_KEYS_BEFORE_A_PASSWORD } else { MOST_KEYS };
        let new = self.offered.iter().all(|offered| offered.key_data() != key.key_data());
        let offer = new && self.offered.len() < most;
        if offer {
            self.offered.push(key.clone());
        }
        offer
    }

    /// RSA keys sign with SHA-2: SHA-1 is refused by every server of today.
    async fn hash(&self, key: &PublicKey) -> Option<HashAlg> {
        if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
            return None;
        }
        self.line.handle.best_supported_rsa_hash().await.ok().flatten().flatten().or(Some(HashAlg::Sha256))
    }

    fn note(&mut self, outcome: Result<AuthResult, russh::Error>) -> Result<(), Error> {
        match outcome {
            Ok(AuthResult::Success) => self.inside = true,
            // The library's word for a connection that is gone.
            Ok(AuthResult::Failure { remaining_methods, .. }) if remaining_methods.is_empty() => {
                return Err(self.gone(None));
            }
            Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                if partial_success || self.accepts.is_empty() {
                    self.accepts = remaining_methods.iter().map(String::from).collect();
                }
                self.allowed = remaining_methods;
            }
            Err(error) => return Err(self.gone(Some(host_key::text(&error)))),
        }
        Ok(())
    }

    fn gone(&self, reason: Option<String>) -> Error {
        let source = match (self.line.ended.get(), reason) {
            // What a server says before it hangs up is about what was tried.
            (Some(Ended::Said(_)), _) => return self.refused(),
            (Some(Ended::Broke(reason)), _) => reason.clone(),
            (None, Some(reason)) => reason,
            (None, None) if !self.line.handle.is_closed() => return self.refused(),
            (None, None) => "the server closed the connection".to_owned(),
        };
        Error::Lost { host: self.target.host.clone(), user: self.target.user.clone(), source: source.into() }
    }

    fn refused(&self) -> Error {
        Error::Refused {
            host: self.target.host.clone(),
            user: self.target.user.clone(),
            tried: self.tried.clone(),
            allowed: self.accepts.clone(),
        }
    }
}

/// Waits for an answer of the server; before a login it is not asked whether it is still there.
async fn in_time<T>(
    within: Duration,
    answer: impl Future<Output = Result<T, russh::Error>>,
) -> Result<T, russh::Error> {
    tokio::time::timeout(within, answer).await.unwrap_or(Err(russh::Error::KeepaliveTimeout))
}

type Agent = AgentClient<UnixStream>;

async fn open_agent(socket: &Path) -> Option<(Agent, Vec<(PublicKey, String)>)> {
    let mut agent = AgentClient::connect_uds(socket).await.ok()?;
    let identities = agent.request_identities().await.ok()?;
    let plain = identities.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, comment } => Some((key, comment)),
        AgentIdentity::Certificate { .. } => None,
    });
    let held = plain.collect();
    Some((agent, held))
}
