//! Every case of every ready-made policy: `policies/*/cases/*.yaml`. Streams are fed whole and cut at sixty different places.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::path::{Path, PathBuf};

use gatewright_plugins::cases::{self, Trials};
use gatewright_plugins::{Host, Source};
use kit::operator;

/// Ways that a stream is cut in each case.
const SPLITS: u64 = 60;

fn files(folder: &Path, ends: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ends));
    paths.sort();
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_every_policy() {
    let host = Host::new(4);
    let policies = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies"), "");
    let policies: Vec<PathBuf> = policies.into_iter().filter(|path| path.is_dir()).collect();
    assert!(policies.len() >= 3, "{policies:?}");
    let mut wrong = Vec::new();
    for policy in policies {
        let mut trials = Trials::new(&host, Source::Folder(policy.clone()), operator(), SPLITS);
        let mut count = 0;
        for file in files(&policy.join("cases"), ".yaml") {
            let cases = cases::read(&std::fs::read_to_string(&file).unwrap());
            for case in cases.unwrap_or_else(|error| panic!("{}: {error}", file.display())) {
                count += 1;
                if let Err(error) = trials.run(&case).await {
                    wrong.push(format!("{}:{}: {}: {error}", file.display(), case.line, case.name));
                }
            }
        }
        assert!(count > 0, "{} has no cases", policy.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
