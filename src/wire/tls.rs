//! TLS over any byte stream, where both ends show a certificate, as LXD and Incus want it of their clients.

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::Dial;
use crate::http::Stream;

/// Which server is believed to be the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The one that shows this certificate, whatever names stand in it.
    Certificate(CertificateDer<'static>),
    /// The one whose certificate is for its address and signed by one of these authorities.
    Authorities(Vec<CertificateDer<'static>>),
}

/// Who this client is.
#[derive(Debug)]
pub struct Identity {
    /// Its certificate, and those between it and an authority.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

/// Speaks TLS on the streams that `inner` opens.
///
/// - `server`: the name or address for which the certificate of the server must be, where an authority signs it.
///
/// Streams fail with `InvalidData` and a [`rustls::Error`] within where the server is another.
///
/// # Errors
///
/// Key and certificate do not belong together, or there is no authority.
pub fn tls(inner: Dial, server: ServerName<'static>, trust: Trust, identity: Identity) -> Result<Dial, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Certificate(certificate) => Arc::new(Pinned { certificate, provider: provider.clone() }),
        Trust::Authorities(certificates) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates {
                roots.add(certificate)?;
            }
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
            verifier.map_err(|error| Error::General(error.to_string()))?
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(identity.certificates, identity.key)?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(Arc::new(move || {
        let (inner, server, connector) = (inner.clone(), server.clone(), connector.clone());
        Box::pin(async move { Ok(Box::new(connector.connect(server, inner().await?).await?) as Box<dyn Stream>) })
    }))
}

/// Whether a stream failed because the server is not the one that it should be.
pub fn is_another_server(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(inner, Some(Error::InvalidCertificate(_)))
}

/// Believes one certificate.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
