//! A filter for benchmarks that looks for a word in each text and replaces it.
//!
//! Apart from the policies because it is of no other use. It must not know who measures it.

use gatewright_plugin::{Action, Context, Event};

const WORD: &str = "needle";

#[gatewright_plugin::filter]
fn inspect(_ctx: &Context, event: &Event) -> Vec<Action> {
    let segments = event.segments.iter();
    segments.filter_map(|it| it.text.find(WORD).map(|at| Action::edit(it, at, at + WORD.len(), "[x]"))).collect()
}
