//! A request that is refused before anything was sent: the fault, and what the response's headers say beside it.
//!
//! Apart because every stage may end in one and only the door words it. It must not know HTTP or a dialect.

use gatewright_types::Fault;

use crate::limits::Standing;

/// Why a request got no answer. Nothing was sent yet, so that the status can still say it.
#[derive(Debug)]
pub struct Refused(Box<Inner>);

#[derive(Debug)]
struct Inner {
    fault: Fault,
    standing: Standing,
    verdicts: Option<String>,
}

impl Refused {
    /// A refusal, and how the key's limits stand.
    pub(super) fn new(fault: Fault, standing: Standing) -> Self {
        Self(Box::new(Inner { fault, standing, verdicts: None }))
    }

    /// The same refusal, with what the plugins did.
    pub(super) fn verdicts(mut self, verdicts: Option<String>) -> Self {
        self.0.verdicts = verdicts;
        self
    }

    /// What went wrong.
    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    /// How the key's limits stand.
    pub fn standing(&self) -> Standing {
        self.0.standing
    }

    /// What the plugins did, for the header; `None` where they were not asked or nobody wants to know.
    pub fn what_plugins_did(&self) -> Option<&str> {
        self.0.verdicts.as_deref()
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::new(fault, Standing::default())
    }
}
