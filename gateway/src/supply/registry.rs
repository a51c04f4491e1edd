//! Plugins in OCI registries: an artifact of one layer, pulled by digest and pushed.
//!
//! Apart because it is the only file that speaks to a registry. What comes from one is a stranger's: sizes are bounded, digests are
//! worked out here, and nothing is asked for at an address that a manifest names. It must not know who wants a plugin, or keep one.

mod artifact;
mod place;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderValue;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};

use super::signature::Signature;
use crate::config::facts::Secret;
use crate::environment::Proxies;

pub use artifact::{Pushed, layer_of, sha256};
pub use place::Place;

/// Who asks a registry.
#[derive(Clone, Debug)]
pub struct Login {
    /// Name of the user.
    pub username: String,
    /// Password or token.
    pub password: Secret,
}

/// What registries are asked with.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    /// Logins by host, with its port where it has one. Others are asked without one.
    pub logins: BTreeMap<String, Login>,
    /// Proxies for what is not of this machine.
    pub proxies: Proxies,
}

/// An artifact as it came.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its manifest.
    pub manifest: Vec<u8>,
    /// Its layer, an archive of a plugin's folder.
    pub layer: Vec<u8>,
    /// The signatures that lie beside it.
    pub signatures: Vec<Signature>,
}

/// Told of bytes that came or went, and of how many there are.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// For a connection, and between two pieces of an answer.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);
/// For small things: manifests and tokens. The library reads those whole, so that this is their bound.
const SHORT: Duration = Duration::from_secs(20);
/// For all of a pull or push.
const LONG: Duration = Duration::from_secs(300);
/// Largest text that was signed.
const LARGEST_PAYLOAD: u64 = 64 << 10;
/// Most signatures of an artifact.
const MOST_SIGNATURES: usize = 16;

impl Registries {
    /// The digest that a place means now: its own, or that of its tag.
    ///
    /// # Errors
    /// Why the registry does not tell.
    pub fn resolve(&self, place: &Place) -> Result<String, String> {
        match place.digest() {
            Some(digest) => Ok(digest.to_owned()),
            None => {
                self.ask(place, async |asked| Ok(sha256(&asked.manifest(&place.reference).await?.ok_or_else(|| asked.missing())?)))
            }
        }
    }

    /// Pulls an artifact by its digest, and the signatures beside it.
    ///
    /// # Errors
    /// When it cannot be had, is not what the digest says, or is no plugin.
    pub fn pull(&self, (place, digest): (&Place, &str), progress: Progress<'_>) -> Result<Artifact, String> {
        self.ask(place, async |asked| {
            let manifest = asked.manifest(&place.at(digest)).await?.ok_or_else(|| asked.missing())?;
            if sha256(&manifest) != digest {
                return Err(format!("{place}: the registry gave another artifact than {digest}"));
            }
            let layer = layer_of(&manifest).map_err(|error| format!("{place}: {error}"))?;
            let layer = asked.blob(&layer, progress).await?;
            let signatures = asked.signatures(digest).await?;
            Ok(Artifact { manifest: manifest.to_vec(), layer, signatures })
        })
    }

    /// The signatures beside an artifact.
    ///
    /// # Errors
    /// Why the registry does not tell.
    pub fn signatures(&self, place: &Place, digest: &str) -> Result<Vec<Signature>, String> {
        self.ask(place, async |asked| asked.signatures(digest).await)
    }

    /// Pushes an artifact, and tells its digest.
    ///
    /// # Errors
    /// Why the registry does not take it.
    pub fn push(&self, (place, pushed): (&Place, &Pushed), progress: Progress<'_>) -> Result<String, String> {
        self.ask(place, async |asked| {
            asked.within(asked.client.auth(&place.reference, &asked.login, RegistryOperation::Push)).await?;
            let all = pushed.blobs().iter().map(|(_, bytes)| bytes.len() as u64).sum();
            let mut before = 0;
            for (digest, bytes) in pushed.blobs() {
                asked.send((digest, bytes.clone()), &|sent, _| progress(before + sent, all)).await?;
                before += bytes.len() as u64;
            }
            let media_type = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
            asked.within(asked.client.push_manifest_raw(&place.reference, pushed.manifest.clone(), media_type)).await?;
            Ok(sha256(&pushed.manifest))
        })
    }

    /// Asks on a runtime of its own: whoever loads plugins may block, and need not have one.
    fn ask<T>(&self, place: &Place, work: impl AsyncFnOnce(&Asked<'_>) -> Result<T, String>) -> Result<T, String> {
        // TLS as the rest of the gateway has it. Whoever came first has set the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let outcome = runtime.block_on(async {
            let asked = Asked::new(self, place)?;
            let late = |_| Err(format!("{place}: not done within {LONG:?}"));
            tokio::time::timeout(LONG, work(&asked)).await.unwrap_or_else(late)
        });
        runtime.shutdown_background();
        outcome
    }

    fn client(&self, place: &Place) -> Result<Client, String> {
        let host = place.reference.resolve_registry().to_owned();
        let plain = if place.is_loopback() { vec![host] } else { Vec::new() };
        let given = |text: &str, or: &str| [text, or].into_iter().find(|text| !text.is_empty()).map(str::to_owned);
        let Proxies { all, http, https, no } = &self.proxies;
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain),
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            https_proxy: given(https, all),
            http_proxy: given(http, all),
            // A loopback address means this machine, whatever proxy the environment names.
            no_proxy: Some(format!("{no},localhost,127.0.0.0/8,::1")),
            platform_resolver: None,
            user_agent: concat!("gatewright/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        Client::try_from(config).map_err(|error| worded(&error))
    }
}

/// A registry that is being asked about one place.
struct Asked<'a> {
    client: Client,
    login: RegistryAuth,
    place: &'a Place,
}

impl<'a> Asked<'a> {
    fn new(registries: &Registries, place: &'a Place) -> Result<Self, String> {
        let login = registries.logins.get(place.reference.registry());
        let login = login.map_or(RegistryAuth::Anonymous, |Login { username, password }| {
            RegistryAuth::Basic(username.clone(), password.reveal().to_owned())
        });
        Ok(Self { client: registries.client(place)?, login, place })
    }

    fn missing(&self) -> String {
        format!("{}: the registry has no such artifact", self.place)
    }

    async fn within<T>(&self, asking: impl Future<Output = Result<T, OciDistributionError>>) -> Result<T, String> {
        match tokio::time::timeout(SHORT, asking).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("{}: {}", self.place, worded(&error))),
            Err(_) => Err(format!("{}: no answer within {SHORT:?}", self.place)),
        }
    }

    /// A manifest; `None` where there is none.
    async fn manifest(&self, reference: &Reference) -> Result<Option<Bytes>, String> {
        let asking = async {
            match self.client.pull_manifest_raw(reference, &self.login, &[OCI_IMAGE_MEDIA_TYPE]).await {
                Ok((manifest, _)) => Ok(Some(manifest)),
                Err(error) if is_missing(&error) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.within(asking).await
    }

    /// A blob of a manifest, of the size and digest that the manifest says.
    async fn blob(&self, blob: &OciDescriptor, progress: Progress<'_>) -> Result<Vec<u8>, String> {
        let size = u64::try_from(blob.size).unwrap_or_default();
        let fail = |what: &dyn std::fmt::Display| format!("{}: {}: {what}", self.place, blob.digest);
        // Addresses that a manifest names besides are not asked.
        let blob = OciDescriptor { urls: None, ..blob.clone() };
        let mut coming = self.within(self.client.pull_blob_stream(&self.place.reference, &blob)).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = coming.next().await {
            let piece = piece.map_err(|error| fail(&error))?;
            if (bytes.len() + piece.len()) as u64 > size {
                return Err(fail(&format_args!("it is larger than the {size} bytes that its manifest says")));
            }
            bytes.extend_from_slice(&piece);
            progress(bytes.len() as u64, size);
        }
        match sha256(&bytes) == blob.digest {
            true => Ok(bytes),
            false => Err(fail(&"what came is not what the digest says")),
        }
    }

    /// The signatures that cosign keeps beside an artifact: layers of the artifact that a tag names by the digest.
    async fn signatures(&self, digest: &str) -> Result<Vec<Signature>, String> {
        let Some(manifest) = self.manifest(&self.place.signature_of(digest)).await? else { return Ok(Vec::new()) };
        let found = artifact::signatures_of(&manifest).map_err(|error| format!("{}: its signatures: {error}", self.place))?;
        let mut signatures = Vec::new();
        for (payload, signature) in found.into_iter().take(MOST_SIGNATURES) {
            if u64::try_from(payload.size).is_ok_and(|size| size <= LARGEST_PAYLOAD) {
                let payload = self.blob(&payload, &|_, _| {}).await?;
                signatures.push(Signature { payload: String::from_utf8_lossy(&payload).into_owned(), signature });
            }
        }
        Ok(signatures)
    }

    async fn send(&self, (digest, bytes): (&str, Bytes), progress: Progress<'_>) -> Result<(), String> {
        let reference = &self.place.reference;
        if self.within(self.client.blob_exists(reference, digest)).await? {
            return Ok(());
        }
        let all = bytes.len() as u64;
        progress(0, all);
        let sent = self.client.push_blob(reference, bytes, digest).await;
        progress(all, all);
        sent.map(drop).map_err(|error| format!("{}: {}", self.place, worded(&error)))
    }
}

fn is_missing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| matches!(error.code, OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound)),
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        _ => false,
    }
}

/// An error with its causes; what a registry says is cut.
fn worded(error: &OciDistributionError) -> String {
    const MOST: usize = 500;
    let mut text = match error {
        OciDistributionError::UnauthorizedError { .. } => "the registry wants a login: name it under `registries`".to_owned(),
        error => error.to_string(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let told = inner.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = inner.source();
    }
    text.truncate(text.floor_char_boundary(MOST));
    text.replace(|c: char| c.is_control(), " ")
}
