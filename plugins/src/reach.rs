//! The way outside for the guests of one request: who fetches and who asks models for them, and how often they still may.
//!
//! Apart because both sandboxes go this way and neither knows the network: what is allowed, and how it is done, is for whoever
//! implements [`Fetch`] and [`Ask`]. It must not know HTTP beyond these plain data, nor which guest asks beyond its plugin's name.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

/// Fetches of one plugin in one request.
pub(crate) const MOST_FETCHES: u32 = 16;
/// Questions of one plugin to models, in one request.
pub(crate) const MOST_QUESTIONS: u32 = 8;

/// What a guest wants fetched, as it gave it: nothing of it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// Method.
    pub method: String,
    /// Whole URL.
    pub url: String,
    /// Headers, name and value.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchResponse {
    /// Status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// What a guest asks a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Route.
    pub route: String,
    /// What the model is told, as the user's words.
    pub prompt: String,
    /// Tokens that the answer may have; 0: as many as the plugin has left.
    pub max_tokens: u32,
}

/// Why a service said no: the contract's `host-error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// The operator does not allow it.
    #[error("denied")]
    Denied,
    /// A bound is used up.
    #[error("limit: {0}")]
    Limit(String),
    /// It was tried, or could not be.
    #[error("failed: {0}")]
    Failed(String),
}

/// Notes of a request, name and value.
pub type Notes = [(String, String)];

/// Fetches for guests. Dropping the future gives the fetch up.
#[async_trait]
pub trait Fetch: Send + Sync + std::fmt::Debug {
    /// Fetches for this plugin; `notes` are those that the plugins of the request have left so far.
    async fn send(&self, plugin: &str, request: FetchRequest, notes: &Notes) -> Result<FetchResponse, ServiceError>;
}

/// Asks models for guests. Dropping the future gives the question up.
#[async_trait]
pub trait Ask: Send + Sync + std::fmt::Debug {
    /// The text of the answer to this plugin's question; `notes` are those that the plugins of the request have left so far.
    async fn ask(&self, plugin: &str, question: Question, notes: &Notes) -> Result<String, ServiceError>;
}

/// Who serves the guests of one request. The default serves nobody. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    fetch: Option<Arc<dyn Fetch>>,
    ask: Option<Arc<dyn Ask>>,
    used: Option<Arc<Used>>,
}

/// What all sessions of a request share.
#[derive(Debug, Default)]
struct Used {
    /// Fetches and questions so far, by plugin.
    counts: Mutex<Vec<(Arc<str>, [u32; 2])>>,
    /// Notes so far.
    notes: Mutex<Vec<(String, String)>>,
}

/// Index of a count in [`Used`], its bound, and its word.
type Count = (usize, u32, &'static str);

const FETCHES: Count = (0, MOST_FETCHES, "fetches");
const QUESTIONS: Count = (1, MOST_QUESTIONS, "questions");

impl Reach {
    /// With someone who fetches.
    #[must_use]
    pub fn with_fetch(self, fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch: Some(fetch), used: Some(self.used.unwrap_or_default()), ..self }
    }

    /// With someone who asks models.
    #[must_use]
    pub fn with_ask(self, ask: Arc<dyn Ask>) -> Self {
        Self { ask: Some(ask), used: Some(self.used.unwrap_or_default()), ..self }
    }

    /// The request has these notes now: whoever serves its guests is told of them.
    pub(crate) fn noted(&self, notes: &Notes) {
        if let Some(used) = &self.used {
            notes.clone_into(&mut used.notes.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(crate) async fn fetch(&self, plugin: &Arc<str>, request: FetchRequest) -> Result<FetchResponse, ServiceError> {
        let (Some(fetch), Some(used)) = (&self.fetch, &self.used) else { return Err(unserved()) };
        used.take(plugin, FETCHES)?;
        fetch.send(plugin, request, &used.notes()).await
    }

    pub(crate) async fn ask(&self, plugin: &Arc<str>, question: Question) -> Result<String, ServiceError> {
        let (Some(ask), Some(used)) = (&self.ask, &self.used) else { return Err(unserved()) };
        used.take(plugin, QUESTIONS)?;
        ask.ask(plugin, question, &used.notes()).await
    }
}

impl Used {
    fn notes(&self) -> Vec<(String, String)> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, plugin: &Arc<str>, (which, most, word): Count) -> Result<(), ServiceError> {
        let mut all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|(name, _)| name == plugin).unwrap_or(all.len());
        if at == all.len() {
            all.push((Arc::clone(plugin), [0; 2]));
        }
        let count = &mut all[at].1[which];
        if *count >= most {
            return Err(ServiceError::Limit(format!("{most} {word} in one request")));
        }
        *count += 1;
        Ok(())
    }
}

fn unserved() -> ServiceError {
    ServiceError::Failed("not served here".to_owned())
}
