//! Law 1: who may know whom. Read from `cargo metadata`, so that no arrow can hide in a feature.

use std::collections::BTreeSet;

use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand};

use super::sources::root;

const HOUSE: [&str; 5] = ["gatewright", "gatewright-engine", "gatewright-plugins", "gatewright-tests", "gatewright-types"];

fn allowed(from: &str) -> &'static [&'static str] {
    match from {
        "gatewright-plugins" | "gatewright-engine" => &["gatewright-types"],
        "gatewright" => &["gatewright-types", "gatewright-plugins", "gatewright-engine"],
        "gatewright-tests" => &["gatewright-types", "gatewright-plugins", "gatewright-engine", "gatewright"],
        _ => &[],
    }
}

/// Crates that a room must never see, whatever they are good for.
fn forbidden(room: &str) -> &'static [&'static str] {
    match room {
        "gatewright-types" => &["tokio", "http", "hyper", "axum", "reqwest"],
        "gatewright-plugins" => &["http", "hyper", "axum", "reqwest", "burn", "sled"],
        "gatewright-engine" => &["http", "hyper", "axum", "reqwest", "clap", "wasmtime", "mlua"],
        "gatewright" => &["burn", "wasmtime", "mlua"],
        _ => &[],
    }
}

#[test]
fn only_the_arrows_of_the_design_exist() {
    let metadata =
        MetadataCommand::new().manifest_path(root().join("Cargo.toml")).features(CargoOpt::AllFeatures).no_deps().exec().unwrap();
    let rooms: BTreeSet<_> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    assert_eq!(rooms, HOUSE.iter().map(|n| (*n).to_owned()).collect(), "a room was added or removed: the design says which exist");
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let (from, to) = (package.name.as_str(), dependency.name.as_str());
            // A room must not know another for its tests or examples either; what else those use is their own affair.
            let own = dependency.kind == DependencyKind::Development;
            assert!(!HOUSE.contains(&to) || allowed(from).contains(&to), "{from} must not know {to}");
            assert!(own || !forbidden(from).contains(&to), "{from} must not use {to}");
        }
    }
}

#[test]
fn every_room_takes_versions_and_lints_from_the_workspace() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    for package in &metadata.packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}: the lints of the workspace are not on", package.name);
        let versions = manifest
            .lines()
            .filter(|l| l.contains("version = \"") || (l.contains(" = \"") && l.ends_with('"') && starts_dependency(l)));
        let own: Vec<_> = versions.collect();
        assert!(own.is_empty(), "{}: a version stands outside the workspace: {own:?}", package.name);
    }
}

fn starts_dependency(line: &str) -> bool {
    line.split(" = \"").nth(1).is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit() || "=^~<>*".contains(c)))
}
