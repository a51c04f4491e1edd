//! The type definitions for editors name just the functions that a Luau plugin finds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use kit::{ask, chain};

const DEFINITIONS: &str = include_str!("../sdk/lua/gatewright.d.luau");
/// The functions of the contract: those of the guide.
const FUNCTIONS: [&str; 10] = ["edit", "hold", "block", "answer", "reask", "set", "note", "redact", "log", "settings"];
/// Functions in tables of the contract.
const TABLES: [&str; 5] = ["store.get", "store.put", "metrics.count", "fetch.send", "model.ask"];

#[tokio::test]
async fn each_declared_function_is_there_and_none_is_left_out() {
    let declared: Vec<&str> = DEFINITIONS
        .lines()
        .filter_map(|line| line.strip_prefix("declare function ")?.split_once('(').map(|(name, _)| name))
        .collect();
    assert_eq!(declared, FUNCTIONS);
    let members = DEFINITIONS.lines().filter_map(|line| {
        let member = line.strip_prefix('\t')?.split_once(": (").map(|(name, _)| name)?;
        TABLES.iter().find(|name| name.split_once('.').is_some_and(|(_, own)| own == member))
    });
    let declared: Vec<&str> = declared.into_iter().chain(members.copied()).collect();
    assert!(TABLES.iter().all(|name| declared.contains(name)), "{declared:?}");
    let there: String = declared.iter().map(|name| format!("assert(type({name}) == 'function', '{name}')\n")).collect();
    let code = format!("return {{ inspect = function(ctx, event)\n{there}\nreturn {{ note('all', 'there') }} end }}");
    let (verdict, _) = ask(&chain(&code), "x").await;
    assert_eq!(verdict, gatewright_plugins::Verdict::Pass);
}
