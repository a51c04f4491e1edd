//! What of a request is known when its answer is written, and what of an answer outlives it.
//!
//! Apart because stages and records hand these on, and look into none of them. They must not know which dialect filled them.

use std::sync::Arc;

use bytes::Bytes;
use gatewright_types::{ChatRequest, Fault};

use super::Begin;

/// An answer that was kept.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// Its id.
    pub id: String,
    /// Its body.
    pub body: Arc<str>,
    /// The conversation before it, a list.
    pub conversation: Arc<str>,
}

/// Which items of a conversation are wanted.
#[derive(Clone, Debug)]
pub struct Page {
    /// As many at most.
    pub limit: usize,
    /// Whether the last of them comes first.
    pub newest_first: bool,
    /// Those that come after the item of this id.
    pub after: Option<String>,
}

/// What is known of a request when its answer is written, as the policies left it.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    /// Fields that the answer says again: JSON, as it stands between an object's braces, before and after the word on whether the answer
    /// is kept.
    pub fields: [String; 2],
    /// Tools that the client knows otherwise than the model.
    pub tools: Vec<Renamed>,
    /// The conversation before the answer, a list, where the answer is to be kept.
    pub conversation: Option<Arc<str>>,
    /// What was asked for and no other dialect can say.
    pub left_out: Vec<String>,
    /// Whether reasoning goes out under our seal too.
    pub seals: bool,
}

/// A tool that the client knows otherwise than the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The model's name for it.
    pub called: String,
    /// The client's name for it.
    pub name: String,
    /// Where the client has it.
    pub namespace: Option<String>,
    /// Whether the client has it take a text instead of JSON.
    pub takes_text: bool,
}

/// How far an answer is that is made in the background.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// It will be made.
    Queued,
    /// It is made.
    InProgress,
    /// Its client wanted it no more.
    Cancelled,
    /// It is not to be had.
    Failed(&'a Fault),
}

/// How a dialect tells of answers that are made in the background.
pub trait Later: Send + Sync {
    /// Whether a request wants one.
    fn wants(&self, request: &ChatRequest) -> bool;

    /// The body of one that begins.
    fn begun(&self, begin: &Begin) -> Bytes;

    /// The same, at another stage.
    fn restated(&self, body: &str, stage: Stage<'_>) -> Bytes;

    /// Whether this is the body of one.
    fn is_one(&self, body: &str) -> bool;

    /// Whether it is not over in this body.
    fn is_open(&self, body: &str) -> bool;
}
