//! LXD or Incus by TLS at the host's end of the tunnel, with the files of the `lxc` program.
//!
//! The directory is what `lxc` calls its configuration (`~/.config/lxc`, `~/snap/lxd/common/config`): `client.crt` and
//! `client.key` are ours, `servercerts/HOST.crt` is the server's certificate, `client.ca` an authority that signs those
//! of servers instead. What is there is used, and is never written over. What is missing is had over the SSH connection,
//! whose other end is known: the server's certificate is fetched there, and ours is made known there.
//!
//! Source: `lxc remote add`, and ryo-host's `05-lxd-remotes`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use der::Encode as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use thiserror::Error;

use crate::failure::{Failure, Kind};
use crate::flow::fresh::{self, Fresh};
use crate::flow::journal;
use crate::http::HttpError;
use crate::lxd;
use crate::module::Failed;
use crate::module::pki::certificate::{self, Terms};
use crate::module::pki::extension::{self, Weight};
use crate::module::pki::key::{self, Curve, Digest, Format};
use crate::module::pki::{name, request};
use crate::secret::Secret;
use crate::ssh::Route;
use crate::wire::tls::{Identity, Trust, is_another_server, tls};
use crate::wire::{self, Dial, Wire};

/// Where LXD and Incus listen on a host that was set up. Source: ryo-host, `core.https_address`.
pub const PORT: u16 = 8443;

/// For how long a new certificate is good, in seconds: ten years, as those of `lxc`.
const GOOD_FOR: u64 = 10 * 365 * 24 * 60 * 60;

/// How much the clocks of the two may differ, in seconds.
const SKEW: u64 = 24 * 60 * 60;

/// The files cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// One cannot be read.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Some cannot be written.
    #[error(transparent)]
    Unwritten(#[from] fresh::Error),
    /// There is a certificate without its key, or a key without its certificate.
    #[error("there is `{}`, and no `{}`", there.display(), missing.display())]
    Half {
        /// What is there.
        there: PathBuf,
        /// What is not.
        missing: PathBuf,
    },
    /// A key or a certificate cannot be made.
    #[error("cannot make a key and a certificate: {0}")]
    Unmade(String),
    /// Key and certificates do not go together.
    #[error("cannot speak TLS with what is in `{}`", directory.display())]
    Unfit {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Somebody else answers.
    #[error("the server at {address} is not the one that `{}` says", file.display())]
    AnotherServer {
        /// Where.
        address: String,
        /// What says which it is.
        file: PathBuf,
        /// How it differs.
        source: HttpError,
    },
}

/// Opens LXD or Incus of `host` at an address and port, those of its end of the tunnel, on the way `route`.
///
/// - `directory`: the files, see above.
/// - `known`: the same server over a connection that is known to be the right one.
///
/// # Errors
///
/// The files cannot be used, another server answers, or it does not let us in.
pub async fn open(
    host: &str,
    (address, port): (&str, u16),
    route: Route,
    directory: &Path,
    known: &lxd::Client,
) -> Result<lxd::Client, Failure> {
    let request = |error: Error| Failure::new(Kind::Request, error);
    let ours = own(directory).map_err(request)?;
    let (file, trust) = trust(host, directory, known).await?;
    let unfit = |source| request(Error::Unfit { directory: directory.to_owned(), source });
    let name = ServerName::try_from(address.to_owned());
    let name = name.map_err(|error| unfit(rustls::Error::General(error.to_string())))?;
    let certificate = ours.certificates[0].to_vec();
    let dial = tls(dial(route, address, port), name, trust, ours).map_err(unfit)?;
    let shown = if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
    let client = lxd::Client::new(Arc::new(Wire::new(format!("LXD at https://{shown}"), "lxd", dial)));
    let another = |error: lxd::Error| match error {
        lxd::Error::Http(source) if is_another(&source) => {
            Failure::new(Kind::Identity, Error::AnotherServer { address: shown.clone(), file: file.clone(), source })
                .hint("if the server was set up anew, remove that file: the certificate is then fetched over SSH")
        }
        error => error.into(),
    };
    match client.server().await {
        Err(lxd::Error::Untrusted { .. }) => {
            let who = format!("ryo {}", journal::who());
            known.trust(&who, &certificate).await?;
            client.server().await.map_err(another)?;
        }
        other => drop(other.map_err(another)?),
    }
    Ok(client)
}

fn is_another(error: &HttpError) -> bool {
    matches!(error, HttpError::Unreachable { source, .. } if is_another_server(source))
}

fn dial(route: Route, address: &str, port: u16) -> Dial {
    let address: Arc<str> = address.into();
    Arc::new(move || {
        let (route, address) = (route.clone(), address.clone());
        Box::pin(async move { route.dial(&address, port, wire::CONNECT).await })
    })
}

/// Reads the certificate and the key of this client; makes them if neither is there.
fn own(directory: &Path) -> Result<Identity, Error> {
    let (certificate, key) = (directory.join("client.crt"), directory.join("client.key"));
    match (certificate.exists(), key.exists()) {
        (false, false) => {
            let made = generated().map_err(|failed| Error::Unmade(failed.message))?;
            let file = |path: &Path, text, mode| Fresh { path: path.to_owned(), text, mode };
            let certificate = file(&certificate, Secret::new(made.certificate), 0o644);
            fresh::write(&[file(&key, made.key, 0o600), certificate])?;
        }
        (true, false) => return Err(Error::Half { there: certificate, missing: key }),
        (false, true) => return Err(Error::Half { there: key, missing: certificate }),
        (true, true) => {}
    }
    let unread = |source| Error::File { path: key.clone(), source };
    let pem = std::fs::read(&key).map_err(unread)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unread(io::Error::other(error)))?;
    Ok(Identity { certificates: certificates(&certificate)?, key })
}

/// Says which server is the right one, and which file it is from; fetches its certificate if nothing says it.
async fn trust(host: &str, directory: &Path, known: &lxd::Client) -> Result<(PathBuf, Trust), Failure> {
    let request = |error: Error| Failure::new(Kind::Request, error);
    let pinned = directory.join("servercerts").join(format!("{host}.crt"));
    let authority = directory.join("client.ca");
    if !pinned.exists() && authority.exists() {
        let certificates = certificates(&authority).map_err(request)?;
        return Ok((authority, Trust::Authorities(certificates)));
    }
    if !pinned.exists() {
        let server = known.server().await?;
        let text = Secret::new(server.environment.certificate);
        fresh::write(&[Fresh { path: pinned.clone(), text, mode: 0o644 }]).map_err(|error| request(error.into()))?;
    }
    let certificate = certificates(&pinned).map_err(request)?.swap_remove(0);
    Ok((pinned, Trust::Certificate(certificate)))
}

/// Reads the certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unread = |source| Error::File { path: path.to_owned(), source };
    let pem = std::fs::read(path).map_err(unread)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let read = read.map_err(|error| unread(io::Error::other(error)))?;
    if read.is_empty() { Err(unread(io::Error::other("there is no certificate in it"))) } else { Ok(read) }
}

struct Made {
    certificate: String,
    key: Secret,
}

/// Makes a key and a certificate that it signs itself.
fn generated() -> Result<Made, Failed> {
    let key = key::generate(key::Kind::Ecc(Curve::P384))?;
    let subject = name::name(&[("CN".to_owned(), journal::who()), ("O".to_owned(), "ryo".to_owned())])?;
    let public = key.public_info()?.to_der().map_err(|error| Failed::new(error.to_string()))?;
    let wanted = request::Request { subject: subject.clone(), public, extensions: vec![], valid: true };
    let words = |word: &str| [word.to_owned()];
    let now = journal::seconds();
    let terms = Terms {
        issuer: subject,
        from: now.saturating_sub(SKEW),
        until: now + GOOD_FOR,
        extensions: vec![
            extension::usage(&words("digitalSignature"), Weight::Critical)?,
            extension::purposes(&words("clientAuth"), Weight::Plain)?,
            extension::constraints(&words("CA:FALSE"), Weight::Critical)?,
        ],
        digest: Digest::Sha384,
    };
    let certificate = certificate::made(&wanted, terms, &key)?.written()?;
    Ok(Made { certificate, key: Secret::new(key.written(Format::Pkcs8, None)?) })
}
