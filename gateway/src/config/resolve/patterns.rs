//! Names of routes with `*` in them: what their legs may have of it, and that no two of them mean a name alike.
//!
//! Apart because a slip here sends requests to whom nobody chose. It must not know how a name is looked up.

use super::super::pattern::{Pattern, stars};
use super::super::raw::{Root, Route};
use super::super::yaml::escape;
use super::Resolver;
use super::routes::written_legs;

impl Resolver<'_> {
    /// Whether a name is one of a route: its own, or one that its pattern means.
    pub(super) fn is_route(&self, name: &str) -> bool {
        let routes = self.written("routes");
        let means = |route: &String| match Pattern::of(route) {
            Some(pattern) => pattern.parts(name).is_some(),
            None => route == name,
        };
        !name.contains('*') && routes.iter().any(means)
    }

    /// A leg has a `*` for each of the route's name, or none.
    pub(super) fn stars(&mut self, name: &str, raw: &Route) {
        let (at, ours) = (format!("/routes/{}", escape(name)), stars(name));
        for (pointer, leg) in written_legs(&at, raw) {
            let theirs = stars(leg);
            if theirs > 0 && ours == 0 {
                self.complain(&pointer, "`*` stands for what a name has in its place, and this route's name has none", None);
            } else if theirs > 0 && theirs != ours {
                self.complain(&pointer, format!("`*` stands here {theirs} times, and in the route's name {ours} times"), None);
            }
        }
    }

    /// Of two routes that mean the same name, one is closer.
    pub(super) fn patterns(&mut self, root: &Root) {
        let patterns: Vec<(&String, Pattern)> = root.routes.keys().filter_map(|name| Some((name, Pattern::of(name)?))).collect();
        for (at, (name, pattern)) in patterns.iter().enumerate() {
            let alike = |other: &Pattern| other.closeness() == pattern.closeness() && other.meets(pattern);
            if let Some((other, _)) = patterns.iter().take(at).find(|(_, other)| alike(other)) {
                let hint =
                    "of two routes that mean a name, the one with more letters counts, then the one with the longer beginning";
                let message = format!("there are names that `{other}` means as closely");
                self.complain_key(&format!("/routes/{}", escape(name)), message, Some(hint.to_owned()));
            }
        }
    }
}
