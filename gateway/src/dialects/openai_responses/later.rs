//! Answers that are made in the background, at each stage: as they began, with another status.
//!
//! Apart because of these only the beginning and how they ended is told, by whoever makes them. It must not know who that is.

use bytes::Bytes;
use gatewright_types::{ChatRequest, Completion};
use serde_json::value::RawValue;

use super::request::{get, text};
use super::{BACKGROUND, fault, own, write};
use crate::dialects::out::Out;
use crate::dialects::{Begin, Later, Stage, wire};

/// The row of [`Later`].
pub(super) struct InBackground;

impl Later for InBackground {
    fn wants(&self, request: &ChatRequest) -> bool {
        own(&request.extras, BACKGROUND).is_some()
    }

    fn begun(&self, begin: &Begin) -> Bytes {
        let whole = write::whole(&Completion::default(), begin);
        self.restated(&String::from_utf8_lossy(&whole), Stage::InProgress)
    }

    fn restated(&self, body: &str, stage: Stage<'_>) -> Bytes {
        let fields: wire::Fields<'_> = serde_json::from_str(body).unwrap_or(wire::Fields(Default::default()));
        let mut out = Out::with_room(body.len() + 128);
        out.open();
        for (name, value) in &fields.0 {
            match (&**name, stage) {
                ("status", Stage::Queued) => out.text(name, "queued"),
                ("status", Stage::InProgress) => out.text(name, "in_progress"),
                ("status", Stage::Cancelled) => out.text(name, "cancelled"),
                ("status", Stage::Failed(_)) => out.text(name, "failed"),
                ("error", Stage::Failed(why)) => {
                    out.name("error");
                    fault::of_answer(&mut out, why);
                }
                ("error" | "completed_at" | "incomplete_details", _) => out.value(name, RawValue::NULL),
                _ => out.value(name, value),
            }
        }
        out.close();
        out.done()
    }

    fn is_one(&self, body: &str) -> bool {
        let fields: Option<wire::Fields<'_>> = serde_json::from_str(body).ok();
        fields.is_some_and(|fields| get(&fields, BACKGROUND).is_some_and(|raw| raw.get() == "true"))
    }

    fn is_open(&self, body: &str) -> bool {
        let fields: Option<wire::Fields<'_>> = serde_json::from_str(body).ok();
        let status = fields.and_then(|fields| text(&fields, "status").ok().flatten());
        matches!(status.as_deref(), Some("queued" | "in_progress"))
    }
}
