//! Which servers are believed to be who they say they are.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::module::web::Access;
use crate::module::{Context, Failed};

/// Where distributions keep the authorities that a machine trusts.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Makes the settings of connections. `needed`: whether the first server must be believed.
pub(super) fn config(access: &Access, needed: bool, host: &Context) -> Result<ClientConfig, Failed> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(roots(access, host)?);
    if needed && access.validate_certs && roots.is_empty() {
        let why =
            format!("this machine trusts no authority: `{}` is not there (package `ca-certificates`)", BUNDLES[0]);
        return Err(super::unreached(&why));
    }
    let wrong = |error: rustls::Error| super::unreached(&error);
    let begun = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let begun = begun.with_safe_default_protocol_versions().map_err(wrong)?.dangerous();
    let verified = if access.validate_certs && !roots.is_empty() {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        begun.with_custom_certificate_verifier(verifier.map_err(|error| super::unreached(&error))?)
    } else if access.validate_certs {
        begun.with_custom_certificate_verifier(Arc::new(Judge { provider, verdict: Verdict::Nobody }))
    } else {
        begun.with_custom_certificate_verifier(Arc::new(Judge { provider, verdict: Verdict::Anybody }))
    };
    match &access.client_cert {
        None => Ok(verified.with_no_client_auth()),
        Some(path) => {
            let key = read(access.client_key.as_ref().unwrap_or(path), host)?;
            let bad =
                |error: rustls::pki_types::pem::Error| Failed::new(format!("cannot read the client's key: {error}"));
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(bad)?;
            verified.with_client_auth_cert(certificates(&read(path, host)?), key).map_err(wrong)
        }
    }
}

fn roots(access: &Access, host: &Context) -> Result<RootCertStore, Failed> {
    let mut roots = RootCertStore::empty();
    let ours = std::env::var("SSL_CERT_FILE").ok();
    let found = if let Some(path) = host.environment.get("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
        Some(read(path, host)?)
    } else {
        let mut paths = ours.iter().map(String::as_str).chain(BUNDLES);
        paths.find_map(|path| std::fs::read(host.system.real(path)).ok())
    };
    let more = access.ca_path.as_ref().map(|path| read(path, host)).transpose()?;
    for bundle in found.iter().chain(&more) {
        // Some bundles hold certificates that nobody can use any more: they are passed over.
        roots.add_parsable_certificates(certificates(bundle));
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

fn read(path: &str, host: &Context) -> Result<Vec<u8>, Failed> {
    let path = host.system.path(path);
    std::fs::read(host.system.real(&path)).map_err(|error| Failed::new(format!("cannot read {path}: {error}")))
}

/// Where nobody is asked.
#[derive(Debug)]
struct Judge {
    provider: Arc<CryptoProvider>,
    verdict: Verdict,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The task says so (`validate_certs: no`).
    Anybody,
    /// There is nothing to judge by.
    Nobody,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verdict {
            Verdict::Anybody => Ok(ServerCertVerified::assertion()),
            Verdict::Nobody => Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
