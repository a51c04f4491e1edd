//! The smallest plugin: it refuses what shouts.
//!
//! It is a template to start from, and what the SDK's own build is tried with. It must not grow.

use gatewright_plugin::{Action, Context, Event};

/// Blocks at the first segment that has letters, and none of them small.
fn inspect(_ctx: &Context, event: &Event) -> Vec<Action> {
    let shouts = |text: &str| text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase);
    match event.segments.iter().find(|it| shouts(&it.text)) {
        Some(_) => vec![Action::block("shouting", "Please do not shout.")],
        None => Vec::new(),
    }
}

gatewright_plugin::filter!(inspect);
