//! Routes whose names have `*`, and legs for requests that are too long, as they are written.

use super::*;

const PROVIDERS: &str = "providers:\n  far: {base_url: 'http://f/v1', models: [m]}\n";

#[test]
fn a_route_of_many_names_has_legs_with_stars_and_is_a_name_for_keys_rules_and_plugins() {
    let text = format!(
        "{PROVIDERS}routes:\n  claude-*: {{legs: [far/claude-*, far/m], context_fallbacks: [far/long-*], leg_when: {{far/long-*: tokens > 5}}}}\n  \
         gpt*x*: {{legs: [far/*/*], rules: [{{when: tokens > 5, to: claude-5}}]}}\nkeys:\n  k: {{sha256: {DIGEST}, models: [claude-9, gpt-1-x]}}\n"
    );
    let facts = load(&text, Path::new("/w"), &environment()).unwrap_or_else(|complaints| panic!("{complaints:#?}"));
    let legs = &facts.routes["claude-*"].legs;
    let shown: Vec<_> = legs.iter().map(|leg| (leg.model.as_str(), leg.fallback, leg.for_long, leg.when.is_some())).collect();
    assert_eq!(shown, [("claude-*", false, false, false), ("m", false, false, false), ("long-*", true, true, true)]);
}

#[test]
fn what_a_star_cannot_stand_for_is_told_where_it_stands() {
    for (routes, wanted) in [
        (
            "plain: {legs: [far/*]}",
            "4:18: routes.plain.legs[0]: `*` stands for what a name has in its place, and this route's name has none",
        ),
        (
            "a*b*: {legs: [far/m], fallbacks: [far/*]}",
            "routes.a*b*.fallbacks[0]: `*` stands here 1 times, and in the route's name 2 times",
        ),
        ("a*bc*: {legs: [far/m]}\n  a*cb*: {legs: [far/m]}", "5:3: routes.a*cb*: there are names that `a*bc*` means as closely"),
        ("a*: {legs: [far/m], rules: [{when: tokens > 5, to: a*}]}", "routes.a*.rules[0].to: `a*` is no route, model"),
        ("a*: {legs: [far/*], rules: [{when: tokens > 5, to: far/*}]}", "routes.a*.rules[0].to: `far/*` is no route, model"),
        ("a*: {legs: [far/m], rules: [{when: tokens > 5, to: b}]}", "routes.a*.rules[0].to: `b` is no route, model"),
        ("a: {legs: [far/m], context_fallbacks: [fra/m]}", "routes.a.context_fallbacks[0]: no provider is named `fra`"),
        ("a: {legs: [far/m], local_only: true, context_fallbacks: [far/m]}", "routes.a.context_fallbacks[0]: `far/m` is not local"),
    ] {
        let told = told(&format!("{PROVIDERS}routes:\n  {routes}\n")).join("\n");
        assert!(told.contains(wanted), "{routes}: {told}");
    }
    // One means a name more closely than the other, or there is no name that both mean.
    let apart = "routes: {'*': {legs: [far/m]}, a*: {legs: [far/m]}, '*a': {legs: [far/m]}, b*: {legs: [far/m]}}";
    assert!(told(&format!("{PROVIDERS}{apart}")).is_empty());
}
