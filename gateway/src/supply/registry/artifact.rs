//! A plugin as an OCI artifact: its manifest, its config and its one layer.
//!
//! Apart because the form is a promise to other registries' tools, written down in `plugins/README.md`. It must not ask a registry.

use bytes::Bytes;
use gatewright_plugins::About;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::place::is_sha256;
use crate::config::keys::hex;

/// Media type of the config: what kind of artifact it is.
const CONFIG: &str = "application/vnd.gatewright.plugin.config.v1+json";
/// Media type of the layer: an archive of the plugin's folder.
const LAYER: &str = "application/vnd.gatewright.plugin.v1.tar+gzip";
/// Media type of what cosign signs.
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation that holds a signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const LARGEST_MANIFEST: usize = 1 << 20;
const LARGEST_LAYER: i64 = 64 << 20;

/// SHA-256 as registries write it.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// The layer of a plugin's manifest.
///
/// # Errors
/// When the manifest is not that of a plugin.
pub fn layer_of(manifest: &[u8]) -> Result<OciDescriptor, String> {
    let manifest = parse(manifest)?;
    if manifest.config.media_type != CONFIG {
        return Err(format!("this is no plugin: its config is `{}`, not `{CONFIG}`", manifest.config.media_type));
    }
    let [layer] = manifest.layers.as_slice() else {
        return Err(format!("a plugin has one layer, this has {}", manifest.layers.len()));
    };
    if layer.media_type != LAYER {
        return Err(format!("this is no plugin: its layer is `{}`, not `{LAYER}`", layer.media_type));
    }
    if !(1..=LARGEST_LAYER).contains(&layer.size) {
        return Err(format!("its layer has {} bytes; at most {LARGEST_LAYER} are read", layer.size));
    }
    match is_sha256(&layer.digest) {
        true => Ok(layer.clone()),
        false => Err(format!("`{}` is no digest of a layer", layer.digest)),
    }
}

/// What was signed, and the signatures, of a manifest that cosign made.
pub(super) fn signatures_of(manifest: &[u8]) -> Result<Vec<(OciDescriptor, String)>, String> {
    let layers = parse(manifest)?.layers.into_iter();
    let layers = layers.filter(|layer| layer.media_type == PAYLOAD && is_sha256(&layer.digest));
    Ok(layers
        .filter_map(|layer| {
            let signature = layer.annotations.as_ref()?.get(SIGNATURE)?.clone();
            Some((layer, signature))
        })
        .collect())
}

fn parse(manifest: &[u8]) -> Result<OciImageManifest, String> {
    if manifest.len() > LARGEST_MANIFEST {
        return Err(format!("a manifest of more than {LARGEST_MANIFEST} bytes"));
    }
    let manifest: OciImageManifest = serde_json::from_slice(manifest).map_err(|error| format!("not a manifest: {error}"))?;
    match manifest.media_type.as_deref() {
        None | Some(OCI_IMAGE_MEDIA_TYPE) => Ok(manifest),
        Some(other) => Err(format!("`{other}` is not a manifest of one artifact")),
    }
}

/// A plugin that is to be pushed.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Config and layer, by their digests.
    blobs: [(String, Bytes); 2],
    /// The manifest.
    pub(super) manifest: Vec<u8>,
}

impl Pushed {
    /// The artifact of a packed folder: the same bytes for the same folder.
    ///
    /// # Errors
    /// When JSON cannot be written.
    pub fn new(about: &About, layer: Vec<u8>) -> Result<Self, String> {
        let config = json!({
            "name": about.name,
            "version": about.version,
            "description": about.description,
            "digest": format!("blake3:{}", about.digest),
            "grants": about.asked,
            "tools": about.tools.iter().map(|tool| &tool.name).collect::<Vec<_>>(),
        });
        let config = serde_json::to_vec(&config).map_err(|error| error.to_string())?;
        let (config_digest, layer_digest) = (sha256(&config), sha256(&layer));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE_MEDIA_TYPE,
            "config": { "mediaType": CONFIG, "digest": config_digest, "size": config.len() },
            "layers": [{ "mediaType": LAYER, "digest": layer_digest, "size": layer.len() }],
            "annotations": { "org.opencontainers.image.title": about.name, "org.opencontainers.image.version": about.version },
        });
        let manifest = serde_json::to_vec(&manifest).map_err(|error| error.to_string())?;
        layer_of(&manifest)?;
        Ok(Self { blobs: [(config_digest, config.into()), (layer_digest, layer.into())], manifest })
    }

    pub(super) fn blobs(&self) -> &[(String, Bytes); 2] {
        &self.blobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn manifest() -> Value {
        let digest = format!("sha256:{}", "0a".repeat(32));
        json!({
            "schemaVersion": 2,
            "config": { "mediaType": CONFIG, "digest": digest, "size": 2 },
            "layers": [{ "mediaType": LAYER, "digest": digest, "size": 10 }],
        })
    }

    #[test]
    fn only_a_plugin_is_taken_for_one() {
        assert_eq!(layer_of(manifest().to_string().as_bytes()).unwrap().size, 10);
        let change = |pointer: &str, value: Value| {
            let mut changed = manifest();
            *changed.pointer_mut(pointer).unwrap() = value;
            layer_of(changed.to_string().as_bytes()).unwrap_err()
        };
        assert!(change("/config/mediaType", json!("application/vnd.oci.image.config.v1+json")).contains("this is no plugin"));
        assert!(change("/layers/0/mediaType", json!("application/vnd.oci.image.layer.v1.tar+gzip")).contains("this is no plugin"));
        assert!(change("/layers", json!([])).contains("has 0"));
        assert!(change("/layers/0/size", json!(LARGEST_LAYER + 1)).contains("at most"));
        assert!(change("/layers/0/size", json!(-1)).contains("at most"));
        assert!(change("/layers/0/digest", json!("sha256:../../x")).contains("no digest"));
        assert!(layer_of(b"{").unwrap_err().contains("not a manifest"));
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []});
        assert!(layer_of(index.to_string().as_bytes()).is_err());
    }
}
