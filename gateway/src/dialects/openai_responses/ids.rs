//! Ids of items that an upstream ran itself: ours leads to the answer that it is in, and holds the upstream's own, which goes back to it.
//!
//! Apart because whoever writes an answer gives such an id, and whoever asks an upstream takes it off again: nothing need be kept for it.
//! It must not know where answers are kept.

use gatewright_types::RawJson;
use serde_json::value::RawValue;

use crate::dialects::out::Out;
use crate::dialects::wire;

/// What stands between an upstream's id and what we add.
const MARK: &str = "-gw-";

/// An item with an id of ours, and that id. `core` is the part of the answer's id that its items share.
pub(super) fn given(item: &RawValue, (core, at): (&str, usize)) -> (String, RawJson) {
    let id = match own(item) {
        Some(theirs) => format!("{theirs}{MARK}{core}_{at}"),
        None => format!("item_{core}_{at}"),
    };
    let item = with_id(item, &id).unwrap_or_else(|| item.to_owned());
    (id, item)
}

/// An item with the id that its upstream gave it, where it has one of ours.
pub(super) fn taken_off(item: &RawValue) -> Option<RawJson> {
    let id = own(item)?;
    with_id(item, id.rsplit_once(MARK)?.0)
}

/// The part of the answer's id that an id of ours shares.
pub(super) fn core(id: &str) -> Option<&str> {
    Some(id.rsplit_once(MARK)?.1.rsplit_once('_')?.0)
}

/// The id that an item has.
fn own(item: &RawValue) -> Option<String> {
    let fields = wire::object(item).ok()?;
    let id = fields.0.iter().find(|(name, _)| name == "id").and_then(|(_, id)| wire::string(id).ok());
    id.filter(|id| !id.is_empty())
}

fn with_id(item: &RawValue, id: &str) -> Option<RawJson> {
    let mut out = Out::with_room(item.get().len() + id.len());
    out.open();
    out.text("id", id);
    for (name, value) in wire::object(item).ok()?.0.iter().filter(|(name, _)| name != "id") {
        out.field(name, value.get());
    }
    out.close();
    serde_json::from_slice(&out.done()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstreams_id_is_within_ours_and_comes_back_whole() {
        let item: RawJson = serde_json::from_str(r#"{"type":"web_search_call","id":"ws_a-gw-b_1","action":{ "x":1 }}"#).unwrap();
        let (id, ours) = given(&item, ("core-1_x", 3));
        assert_eq!((&*id, core(&id)), ("ws_a-gw-b_1-gw-core-1_x_3", Some("core-1_x")));
        assert_eq!(ours.get(), r#"{"id":"ws_a-gw-b_1-gw-core-1_x_3","type":"web_search_call","action":{ "x":1 }}"#);
        assert_eq!(taken_off(&ours).unwrap().get(), r#"{"id":"ws_a-gw-b_1","type":"web_search_call","action":{ "x":1 }}"#);
        let bare: RawJson = serde_json::from_str(r#"{"type":"odd"}"#).unwrap();
        assert_eq!(given(&bare, ("c", 0)).1.get(), r#"{"id":"item_c_0","type":"odd"}"#);
        assert!(taken_off(&bare).is_none() && core("ws_1_2").is_none());
    }
}
