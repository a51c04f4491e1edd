//! Every case of every ready-made policy: `policies/*/cases/*.yaml`. Streams are fed whole and cut at sixty different places.
//!
//! A case has `name`, and either `given: {phase, channel, text}` with `expect: {text}` or `expect: {verdict, code}`, or
//! `call: {tool, arguments}` with `expect: {result}` or `expect: {failure, contains}`; and `settings` where it needs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod kit;

use std::path::{Path, PathBuf};

use gatewright_plugins::{Chain, Host, Operator, Source, ToolFailure, Verdict};
use gatewright_types::{Channel, Phase};
use kit::{cut, operator, segment, session, stream};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

/// Ways that a stream is cut in each case.
const CUTS: u64 = 60;

fn json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(truth)) => Value::Bool(*truth),
        Yaml::Value(Scalar::Integer(number)) => Value::from(*number),
        Yaml::Value(Scalar::FloatingPoint(number)) => Value::from(number.0),
        Yaml::Value(Scalar::String(text)) => Value::String(text.to_string()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(json).collect()),
        Yaml::Mapping(mapping) => {
            let entries = mapping.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), json(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        other => panic!("a case has {other:?}"),
    }
}

fn files(folder: &Path, ends: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ends));
    paths.sort();
    paths
}

fn policies() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let policies = files(&root, "");
    assert!(policies.len() >= 2, "{policies:?}");
    policies
}

fn cases(policy: &Path) -> Vec<Value> {
    let mut cases = Vec::new();
    for file in files(&policy.join("cases"), ".yaml") {
        let text = std::fs::read_to_string(&file).unwrap();
        for document in Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())) {
            let Value::Array(all) = json(&document) else { panic!("{}: a file of cases is a list", file.display()) };
            cases.extend(all);
        }
    }
    cases
}

fn word<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn check(name: &str, case: &Value, (verdict, text): &(Verdict, String)) {
    let expect = &case["expect"];
    let expected = expect["verdict"].as_str().unwrap_or("pass");
    match (expected, verdict) {
        ("pass", Verdict::Pass) | ("answer", Verdict::Answer { .. }) => {}
        ("block", Verdict::Block { code, .. }) => {
            assert!(expect["code"].is_null() || expect["code"] == code.as_str(), "{name}: {code}");
        }
        _ => panic!("{name}: expected {expected}, got {verdict:?}"),
    }
    if let Some(wanted) = expect["text"].as_str() {
        assert_eq!(text, wanted, "{name}");
    }
}

async fn given(chain: &Chain, name: &str, case: &Value) {
    let given = &case["given"];
    let (phase, channel): (Phase, Channel) = (word(&given["phase"]), word(&given["channel"]));
    let text = given["text"].as_str().unwrap_or_else(|| panic!("{name}: no text"));
    if phase == Phase::Chunk {
        check(name, case, &stream(chain, channel, &[text.to_owned()]).await);
        for seed in 0..CUTS {
            let cut = cut(text, seed);
            check(&format!("{name}, cut as {cut:?}"), case, &stream(chain, channel, &cut).await);
        }
        return;
    }
    let mut segments = vec![segment(1, channel, text)];
    let outcome = session(chain).await.inspect(phase, &mut segments).await;
    check(name, case, &(outcome.verdict, segments.remove(0).text));
}

async fn called(chain: &Chain, name: &str, case: &Value) {
    let call = &case["call"];
    let plugin = chain.plugins()[0].name.clone();
    let tool = format!("{plugin}__{}", call["tool"].as_str().unwrap());
    let answer = session(chain).await.call_tool(&tool, call["arguments"].as_str().unwrap()).await;
    let expect = &case["expect"];
    match answer {
        Ok(result) => assert_eq!(expect["result"].as_str(), Some(result.as_str()), "{name}"),
        Err(failure) => {
            let kind = match failure {
                ToolFailure::BadArguments(_) => "bad-arguments",
                ToolFailure::Denied(_) => "denied",
                ToolFailure::TryLater(_) => "try-later",
                ToolFailure::Internal(_) => "internal",
            };
            assert_eq!(expect["failure"].as_str(), Some(kind), "{name}: {failure}");
            assert!(failure.to_string().contains(expect["contains"].as_str().unwrap_or_default()), "{name}: {failure}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_every_policy() {
    let host = Host::new(4);
    for policy in policies() {
        let cases = cases(&policy);
        let policy_name = policy.file_name().unwrap().to_string_lossy().into_owned();
        if cases.is_empty() {
            println!("{policy_name}: SKIPPED, it has no cases");
            continue;
        }
        for case in &cases {
            let name = format!("{policy_name}: {}", case["name"].as_str().expect("a case has a name"));
            let operator = Operator { settings: case["settings"].clone(), ..operator() };
            let plugin = host.load(&Source::Folder(policy.clone()), &operator).unwrap_or_else(|error| panic!("{name}: {error}"));
            let chain = Chain::new(vec![plugin]);
            if case["call"].is_null() { given(&chain, &name, case).await } else { called(&chain, &name, case).await }
        }
        println!("{policy_name}: {} cases", cases.len());
    }
}
