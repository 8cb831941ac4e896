//! TLS towards upstreams: the system's roots, a file of roots, or no checks at all.

use std::fs;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, ensure};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tracing::warn;

/// The system's roots, read at the first use of HTTPS.
#[derive(Debug, Default)]
pub(super) struct SystemRoots {
    config: OnceLock<Arc<ClientConfig>>,
}

impl SystemRoots {
    fn config(&self) -> Arc<ClientConfig> {
        let config = self.config.get_or_init(|| {
            let loaded = rustls_native_certs::load_native_certs();
            for error in &loaded.errors {
                warn!(%error, "failed to read the system's root certificates");
            }
            let mut roots = RootCertStore::empty();
            let (added, ignored) = roots.add_parsable_certificates(loaded.certs);
            if added == 0 {
                warn!(
                    ignored,
                    "the system has no usable root certificates: every HTTPS upstream will be refused"
                );
            }
            Arc::new(with_roots(roots))
        });
        Arc::clone(config)
    }
}

/// `no_cert_checks` (MapProxy: `ssl_no_cert_checks`) wins over `ca_certs` (`ssl_ca_certs`), a PEM file.
pub(super) fn client_config(
    system: &SystemRoots,
    no_cert_checks: bool,
    ca_certs: Option<&str>,
) -> Result<Arc<ClientConfig>> {
    if no_cert_checks {
        let verifier = AnyCertificate { provider: provider() };
        let config = builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        return Ok(Arc::new(config));
    }
    let Some(file) = ca_certs else {
        return Ok(system.config());
    };
    let pem = fs::read(file).with_context(|| format!("failed to read the certificates in `{file}`"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.with_context(|| format!("`{file}` is not a file of PEM certificates"))?;
        roots
            .add(certificate)
            .with_context(|| format!("a certificate in `{file}` cannot be used as a root"))?;
    }
    ensure!(!roots.is_empty(), "there is no certificate in `{file}`");
    Ok(Arc::new(with_roots(roots)))
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions of TLS")
}

fn with_roots(roots: RootCertStore) -> ClientConfig {
    match WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build() {
        Ok(verifier) => builder().with_webpki_verifier(verifier).with_no_client_auth(),
        // No roots at all: every certificate is refused.
        Err(_no_roots) => builder()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    }
}

/// Accepts every certificate; signatures are still checked, so the peer has the key of the certificate it shows.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = std::env::temp_dir().join(format!("mapproxy-no-certs-{}.pem", std::process::id()));
        fs::write(&file, "nothing").unwrap();
        let error = client_config(&SystemRoots::default(), false, file.to_str()).unwrap_err();
        assert!(error.to_string().starts_with("there is no certificate in"), "{error}");
        fs::remove_file(&file).unwrap();
        assert!(client_config(&SystemRoots::default(), false, file.to_str()).is_err());
        assert!(client_config(&SystemRoots::default(), true, file.to_str()).is_ok());
    }
}
