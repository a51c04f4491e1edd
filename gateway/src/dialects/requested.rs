//! What is known of a request beside its body when it is read, and what becomes of it in another dialect's words.
//!
//! Apart because stages hand these on, and dialects fill them in. They must not know a field's name.

use super::kept::Recalled;
use super::seal::Sealer;

/// What a reader of requests may know beside the body.
#[derive(Default)]
pub struct Asked<'a> {
    /// The headers that the dialect keeps, and their values.
    pub headers: &'a [(&'static str, String)],
    /// Knows reasoning of our own again.
    pub sealer: Option<&'a Sealer>,
    /// Whether answers may be kept.
    pub keeps: bool,
    /// What the body recalls, as far as it is kept for this tenant.
    pub recalled: &'a [Recalled],
    /// How much may be taken from it, bytes, where that is bounded.
    pub most_recalled: Option<usize>,
}

/// What becomes of a request in the words of another dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// How much the model is told to think, where it is told: `effort=high`, `budget=2048`, `off`.
    pub thinking: Option<String>,
    /// What has no words there and was left out, by its names.
    pub left_out: Vec<String>,
}

impl Carried {
    /// One more thing that is left out.
    pub(crate) fn leaves_out(&mut self, name: &str) {
        const MOST: usize = 16;
        if self.left_out.len() < MOST && !self.left_out.iter().any(|known| known == name) {
            self.left_out.push(name.to_owned());
        }
    }
}
