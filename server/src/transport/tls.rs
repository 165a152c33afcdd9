//! TLS of the data port: certificates from files that are read again when they change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use crate::settings::Settings;

/// What clients must speak inside.
const HTTP2: &[u8] = b"h2";

/// The files cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{field}: {path}: {problem}")]
pub struct TlsError {
    field: &'static str,
    path: String,
    problem: String,
}

/// The files.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// The files that `settings` names; `None` when nothing is to be encrypted.
    #[must_use]
    pub fn of(settings: &Settings) -> Option<Self> {
        Some(Self {
            certificate: settings.tls_certificate.clone()?,
            key: settings.tls_key.clone()?,
            client_ca: settings.tls_client_ca.clone(),
        })
    }

    /// Every file.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let always = [self.certificate.as_path(), self.key.as_path()];
        always.into_iter().chain(self.client_ca.as_deref())
    }
}

/// What handshakes are made with.
pub struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads `files`.
    ///
    /// # Errors
    /// One of them cannot be read, holds no certificate or key, or the key is not the certificate's.
    pub fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let config = ArcSwap::from_pointee(read(&files)?);
        Ok(Self { files, config })
    }

    /// The files.
    #[must_use]
    pub const fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// Reads the files again. What was read before stays in force when that fails.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn reload(&self) -> Result<(), TlsError> {
        self.config.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// Makes the handshake of one connection.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

fn read(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let chain = certificates("tls.certificate", &files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| failed("tls.key", &files.key, &error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("tls.certificate", &files.certificate, &error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates("tls.client_ca", path)? {
                roots
                    .add(authority)
                    .map_err(|error| failed("tls.client_ca", path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier
                .build()
                .map_err(|error| failed("tls.client_ca", path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| failed("tls.certificate", &files.certificate, &error))?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(config)
}

fn certificates(
    field: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| failed(field, path, &error))?;
    if found.is_empty() {
        return Err(failed(field, path, &"it holds no certificate in PEM"));
    }
    Ok(found)
}

fn failed(field: &'static str, path: &Path, problem: &dyn std::fmt::Display) -> TlsError {
    TlsError {
        field,
        path: path.display().to_string(),
        problem: problem.to_string(),
    }
}
