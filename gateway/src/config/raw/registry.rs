//! What `gatewright.yaml` may say of registries and of the keys that sign plugins.
//!
//! Apart from the other keys because they are about plugins that come from others. It must not know what they come to.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretText;

/// A public key in PEM, ECDSA on P-256: `file:/path`, relative to this file, or the text itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = ["file:./cosign.pub"]))]
pub(crate) struct KeyText(pub(crate) String);

/// A login of a registry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    /// Name of the user.
    pub(crate) username: String,
    /// Password or token.
    pub(crate) password: SecretText,
}
