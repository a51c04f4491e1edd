//! A request that is refused before anything was sent: the fault, and what the response's headers say beside it.
//!
//! Apart because every stage may end in one and only the door words it. It must not know HTTP or a dialect.

use gatewright_types::Fault;

use super::authenticate::Caller;
use super::seat::Told;
use super::verdicts;
use crate::limits::Standing;
use crate::observe::Outcome;
use crate::records::Row;

/// Label of the metrics for requests that found no route.
const UNROUTED: &str = "-";
/// As much of a model's name as a row keeps, bytes.
const LONGEST_NAME: usize = 128;

/// Why a request got no answer. Nothing was sent yet, so that the status can still say it.
#[derive(Debug)]
pub struct Refused(Box<Inner>);

#[derive(Debug)]
struct Inner {
    fault: Fault,
    standing: Standing,
    verdicts: Told,
}

impl Refused {
    /// A refusal, and how the key's limits stand.
    pub(super) fn new(fault: Fault, standing: Standing) -> Self {
        Self(Box::new(Inner { fault, standing, verdicts: Told::default() }))
    }

    /// The same refusal, with what the plugins did.
    pub(super) fn verdicts(mut self, verdicts: Told) -> Self {
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

    /// What the plugins did, for the headers.
    pub(crate) fn told(&self) -> &Told {
        &self.0.verdicts
    }
}

impl Caller {
    /// Refuses a request that has no seat yet: it leaves a row and a line in the log like any other.
    pub(super) fn turn_away(&self, model: &str, refused: impl Into<Refused>) -> Refused {
        let refused = refused.into();
        let shared = &self.host.shared;
        let outcome = Outcome::of(refused.fault());
        shared.metrics.route(UNROUTED).settled(outcome, self.started.elapsed());
        let model = model[..model.floor_char_boundary(LONGEST_NAME)].to_owned();
        let row = Row {
            cache: "bypass".to_owned(),
            verdicts: verdicts::NONE.to_owned(),
            ..self.row(model, outcome, self.head.dialect.status(refused.fault()))
        };
        crate::logging::access(&row);
        // A full queue is itself a reason to be turned away: then the line in the log is all there is.
        if let Ok(slot) = shared.records.reserve() {
            slot.send(row);
        }
        refused
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::new(fault, Standing::default())
    }
}
