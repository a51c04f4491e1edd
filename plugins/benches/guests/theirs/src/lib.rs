//! The same filters for Extism: each once for a bare text, and once for an event in JSON that says what the contract's event says.
//!
//! Apart from the two beside it because it is another contract. It must not know who measures it.

use extism_pdk::{FnResult, Json, plugin_fn};
use serde::{Deserialize, Serialize};

/// The contract's event and context.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read, as the contract's guest has them read, and not looked at")]
pub struct Asked {
    context: Context,
    phase: String,
    segments: Vec<Segment>,
    last: bool,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "as above")]
struct Context {
    request_id: String,
    tenant: String,
    key: String,
    route: String,
    model: String,
    parameters: String,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "as above")]
struct Segment {
    id: u32,
    channel: String,
    text: String,
    sent: u32,
}

/// The contract's edit.
#[derive(Serialize)]
pub struct Edit {
    segment: u32,
    start: usize,
    end: usize,
    text: &'static str,
}

/// Takes a text and returns at once.
#[plugin_fn]
pub fn nothing(_text: String) -> FnResult<()> {
    Ok(())
}

/// Takes a text and says where a word is.
#[plugin_fn]
pub fn find(text: String) -> FnResult<Vec<u8>> {
    Ok(text.find("needle").map(|at| at.to_le_bytes().to_vec()).unwrap_or_default())
}

/// Takes an event and returns at once.
#[plugin_fn]
pub fn nothing_event(_asked: Json<Asked>) -> FnResult<Json<Vec<Edit>>> {
    Ok(Json(Vec::new()))
}

/// Takes an event and replaces a word.
#[plugin_fn]
pub fn find_event(asked: Json<Asked>) -> FnResult<Json<Vec<Edit>>> {
    let found = |it: &Segment| {
        let at = it.text.find("needle")?;
        Some(Edit { segment: it.id, start: at, end: at + "needle".len(), text: "[x]" })
    };
    Ok(Json(asked.0.segments.iter().filter_map(found).collect()))
}
