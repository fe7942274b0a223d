//! `x509_certificate`: certificates, signed with their own key or by an authority of one's own.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use x509_cert::ext::Extension;
use x509_cert::name::Name;

use crate::module::lineinfile::State;
use crate::module::pki::certificate::{self, Certificate, Terms};
use crate::module::pki::extension::{self, AUTHORITY_KEY, SUBJECT_KEY};
use crate::module::pki::kept::{self, Fate, Kept};
use crate::module::pki::key::{self, PrivateKey};
use crate::module::pki::request::{self, Request};
use crate::module::pki::{name, unwritten};
use crate::module::{Context, Failed, Mode, Outcome, clock};
use crate::secret::Secret;

mod arguments;

pub(crate) use arguments::parse;
pub use arguments::{Arguments, Identifier, PARAMETERS, Provider};

/// All that a certificate is made of.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The certificate's own key, if it is given.
    pub own: Option<PrivateKey>,
    /// The request.
    pub request: Request,
    /// The key that signs.
    pub signer: PrivateKey,
    /// Whose that is: the authority's name and what its certificate says.
    pub authority: Option<(Name, Vec<Extension>)>,
    /// The time.
    pub now: u64,
}

impl Scene {
    fn look(arguments: &Arguments, host: &Context) -> Result<Self, Failed> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let read = |path: &Option<String>, content: Option<&str>, missing: &str| {
            kept::given(path.as_deref(), content, missing, host)
        };
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|it| it.reveal().to_owned());
        let wanted = arguments.privatekey_path.is_some() || arguments.privatekey_content.is_some();
        let own = wanted.then(|| {
            let content = secret(&arguments.privatekey_content);
            let missing = "The private key file %s does not exist";
            let bytes = read(&arguments.privatekey_path, content.as_deref(), missing)?;
            Ok::<_, Failed>(key::load(&bytes, arguments.privatekey_passphrase.as_ref())?)
        });
        let own = own.transpose()?;
        let asked = arguments.csr_path.is_some() || arguments.csr_content.is_some();
        let request = asked.then(|| {
            let missing = "The certificate signing request file %s does not exist";
            let bytes = read(&arguments.csr_path, arguments.csr_content.as_deref(), missing)?;
            request::read(&bytes).ok_or_else(|| Failed::new("The certificate signing request cannot be read"))
        });
        let request = request.transpose()?;
        let request = match (request, &own) {
            (Some(request), _) => request,
            (None, own) => {
                let public = own.as_ref().map(|key| key.public.clone()).unwrap_or_default();
                Request { subject: name::name(&[])?, public, extensions: vec![], valid: true }
            }
        };
        let (signer, authority) = if arguments.provider == Provider::Selfsigned {
            (own.clone().ok_or_else(|| unwritten("there is no private key"))?, None)
        } else {
            let (key, certificate) = authority(arguments, host)?;
            (key, Some((certificate.subject, certificate.extensions)))
        };
        Ok(Self { own, request, signer, authority, now: since.as_secs() })
    }
}

fn authority(arguments: &Arguments, host: &Context) -> Result<(PrivateKey, Certificate), Failed> {
    let path = arguments.ownca_path.as_deref();
    let missing = "The CA certificate file %s does not exist";
    let bytes = kept::given(path, arguments.ownca_content.as_deref(), missing, host)?;
    let certificate = certificate::read(&bytes).ok_or_else(|| Failed::new("The CA certificate cannot be read"))?;
    let content = arguments.ownca_privatekey_content.as_ref().map(Secret::reveal);
    let missing = "The CA private key file %s does not exist";
    let bytes = kept::given(arguments.ownca_privatekey_path.as_deref(), content, missing, host)?;
    let key = key::load(&bytes, arguments.ownca_privatekey_passphrase.as_ref())?;
    if certificate.public != key.public {
        return Err(Failed::new("The CA private key does not belong to the CA certificate"));
    }
    Ok((key, certificate))
}

impl Arguments {
    fn identifier(&self) -> Identifier {
        match self.provider {
            Provider::Selfsigned => self.selfsigned_create_subject_key_identifier,
            Provider::Ownca => self.ownca_create_subject_key_identifier,
        }
    }

    /// Whether the name of the authority's key is made.
    fn names_authority(&self) -> bool {
        self.provider == Provider::Ownca && self.ownca_create_authority_key_identifier
    }

    /// From when to when it is good.
    fn times(&self, now: u64) -> Result<(u64, u64), Failed> {
        let (from, until, prefix) = match self.provider {
            Provider::Selfsigned => (&self.selfsigned_not_before, &self.selfsigned_not_after, "selfsigned"),
            Provider::Ownca => (&self.ownca_not_before, &self.ownca_not_after, "ownca"),
        };
        let point = |text: &str, what: &str| certificate::point(text, &format!("{prefix}_{what}"), now);
        Ok((point(from, "not_before")?, point(until, "not_after")?))
    }
}

/// The certificate that has to be written; nothing if the one that is there is good.
///
/// # Errors
///
/// [`Failed`]: it cannot be made.
pub fn plan(arguments: &Arguments, scene: &Scene, found: Option<&[u8]>) -> Result<Option<Certificate>, Failed> {
    let found = found.filter(|_| !arguments.force).and_then(certificate::read);
    let (from, until) = arguments.times(scene.now)?;
    let timely = |found: &Certificate| arguments.ignore_timestamps || (found.from, found.until) == (from, until);
    if let Some(found) = found
        && answers(arguments, scene, &found)?
        && timely(&found)
    {
        return Ok(None);
    }
    let (issuer, digest) = match &scene.authority {
        None => (scene.request.subject.clone(), arguments.selfsigned_digest),
        Some((name, _)) => (name.clone(), arguments.ownca_digest),
    };
    let terms = Terms { issuer, from, until, digest, extensions: extensions(arguments, scene)? };
    let public = if scene.authority.is_none() { scene.signer.public.clone() } else { scene.request.public.clone() };
    let request = Request { public, ..scene.request.clone() };
    certificate::made(&request, terms, &scene.signer).map(Some)
}

/// What a new certificate says: what was asked for, and the names of the keys.
fn extensions(arguments: &Arguments, scene: &Scene) -> Result<Vec<Extension>, Failed> {
    let identifier = arguments.identifier();
    let mut all = scene.request.extensions.clone();
    all.retain(|it| {
        let own = it.extn_id == SUBJECT_KEY && identifier == Identifier::AlwaysCreate;
        !(own || it.extn_id == AUTHORITY_KEY && arguments.names_authority())
    });
    if identifier != Identifier::NeverCreate && !all.iter().any(|it| it.extn_id == SUBJECT_KEY) {
        all.push(extension::subject_key(key::identifier(&scene.request.public))?);
    }
    if let Some((_, extensions)) = scene.authority.as_ref().filter(|_| arguments.names_authority()) {
        all.push(extension::of_authority(extensions, &scene.signer.public)?);
    }
    Ok(all)
}

/// Whether a certificate is what the request, the keys and the authority say.
fn answers(arguments: &Arguments, scene: &Scene, found: &Certificate) -> Result<bool, Failed> {
    let request = &scene.request;
    let own = scene.own.as_ref().is_none_or(|key| key.public == found.public);
    let asked = request.valid
        && request.public == found.public
        && name::fields(&request.subject) == name::fields(&found.subject);
    let counts = |it: &&Extension| {
        let made = it.extn_id == SUBJECT_KEY && arguments.identifier() != Identifier::NeverCreate;
        !(made || it.extn_id == AUTHORITY_KEY && arguments.names_authority())
    };
    let has = found.extensions.iter().filter(counts).collect::<Vec<_>>();
    let wanted = request.extensions.iter().filter(counts).collect::<Vec<_>>();
    let says = has.len() == wanted.len() && has.iter().all(|it| wanted.contains(it));
    let named = arguments.identifier() == Identifier::NeverCreate || {
        let mine = |list: &[Extension]| list.iter().find(|it| it.extn_id == SUBJECT_KEY).cloned();
        let given = mine(&request.extensions)
            .filter(|_| arguments.identifier() == Identifier::CreateIfNotProvided)
            .map_or_else(|| extension::subject_key(key::identifier(&found.public)), Ok)?;
        mine(&found.extensions).is_some_and(|it| it.extn_value == given.extn_value)
    };
    let by_authority = match &scene.authority {
        None => true,
        Some((subject, extensions)) => {
            let wanted = extension::of_authority(extensions, &scene.signer.public)?;
            let theirs = found.extensions.iter().find(|it| it.extn_id == AUTHORITY_KEY);
            let named = !arguments.names_authority() || theirs.is_some_and(|it| it.extn_value == wanted.extn_value);
            named && name::fields(subject) == name::fields(&found.issuer)
        }
    };
    Ok(own && asked && says && named && by_authority && found.is_of(&scene.signer.public))
}

pub(crate) fn run(arguments: &Arguments, host: &Context, mode: Mode) -> Result<Outcome, Failed> {
    let kept = kept::look(&arguments.path, &arguments.attributes, arguments.backup.into(), host, mode)?;
    let mut values = Map::new();
    values.insert("privatekey".to_owned(), json!(arguments.privatekey_path));
    values.insert("csr".to_owned(), json!(arguments.csr_path));
    if arguments.state == State::Absent {
        if arguments.return_content {
            values.insert("certificate".to_owned(), Value::Null);
        }
        return kept.finish(Fate::Goes, values, host, mode);
    }
    if arguments.provider == Provider::Ownca {
        values.insert("ca_cert".to_owned(), json!(arguments.ownca_path));
        values.insert("ca_privatekey".to_owned(), json!(arguments.ownca_privatekey_path));
    }
    let scene = match Scene::look(arguments, host) {
        // Earlier tasks may make what it needs.
        Err(_) if mode == Mode::Check && kept.bytes.is_none() => {
            return kept.finish(Fate::New(String::new()), values, host, mode);
        }
        scene => scene?,
    };
    let new = plan(arguments, &scene, kept.bytes.as_deref())?;
    let told = new.clone().or_else(|| kept.bytes.as_deref().and_then(certificate::read));
    values.extend(told.map(|it| about(&it)).unwrap_or_default());
    let fate = new.map(|new| new.written()).transpose()?.map_or(Fate::Stays, Fate::New);
    if arguments.return_content {
        values.insert("certificate".to_owned(), json!(content(&kept, &fate, mode)));
    }
    kept.finish(fate, values, host, mode)
}

fn content(kept: &Kept, fate: &Fate, mode: Mode) -> Option<String> {
    match fate {
        Fate::New(content) if mode == Mode::Apply => Some(content.clone()),
        _ => kept.bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn about(certificate: &Certificate) -> Map<String, Value> {
    let time = |seconds: u64| {
        let it = clock::moment(UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        let clock::Moment { year, month, day, hour, minute, second, .. } = it;
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
    };
    Map::from_iter([
        ("notBefore".to_owned(), json!(time(certificate.from))),
        ("notAfter".to_owned(), json!(time(certificate.until))),
        ("serial_number".to_owned(), json!(certificate.number())),
    ])
}
