//! Client libraries that others wrote, against the gateway. They need Python or Node and run when `GATEWRIGHT_TESTS_WITH` names it;
//! `tests/README.md` says what each drives.

use std::path::{Path, PathBuf};
use std::process::Command;

use gatewright_tests::{Gateway, Mock, named, skipped};

const SCRIPT: &str = r#"
rules:
  - when: {has_tool_result: true}
    then:
      reasoning: ["It is ", "known now."]
      text: ["The weather: ", "{{tool}}."]
      usage: {prompt: 9, completion: 6}
  - when: {contains: weather}
    then:
      reasoning: ["I need ", "the weather."]
      tool_calls: [{name: weather, arguments: ['{"city": ', '"Oslo"}']}]
  - when: {contains: a patch}
    then: {tool_calls: [{name: patch, arguments: ['{"input": "*** Be', 'gin"}']}]}
  - when: {contains: a customer}
    then: {tool_calls: [{name: crm__find, arguments: ['{}']}]}
  - when: {contains: as JSON}
    then: {text: ['{"city": ', '"Oslo"}']}
  - when: {contains: busy}
    then: {fault: {status: 429, retry_after: 3}}
  - when: {contains: broken}
    then: {fault: {status: 500}}
  - when: {contains: late}
    then: {text: "too late", delay_ms: {first: 60000}}
  - when: {contains: cut off}
    then: {text: [a, b, c, d, e, f], fault: {cut_after_chunks: 7}}
  - when: {contains: garbled}
    then: {text: [a, b, c, d, e, f], fault: {garbage_after_chunks: 7}}
  - then:
      reasoning: ["I ", "think."]
      text: ["Hel", "lo."]
      usage: {prompt: 5, completion: 4}
"#;

/// Upstreams beside the mock's chat completions: one of Responses, one of Messages, and one that nobody waits for.
fn config(mock: &Mock) -> String {
    let (openai, claude) = (
        format!("dialect: openai_responses, base_url: '{}/v1'", mock.url),
        format!("dialect: anthropic, base_url: '{}'", mock.url),
    );
    let late = format!("base_url: '{}/v1', timeouts: {{first_token: 200ms, idle: 200ms}}", mock.url);
    let rows = [("openai", openai), ("claude", claude), ("late", late)];
    let rows: String = rows.iter().map(|(name, row)| format!("  {name}: {{{row}, attempts: 1}}\n")).collect();
    mock.config(&format!("{rows}plugins:\n  secrets: {{}}\n"))
}

/// What runs a program: its name for `GATEWRIGHT_TESTS_WITH`, the variable that may name another, and what is used otherwise.
struct Runner(&'static str, &'static str, &'static str);

const PYTHON: Runner = Runner("python", "GATEWRIGHT_PYTHON", "python3");
const NODE: Runner = Runner("node", "GATEWRIGHT_NODE", "node");

/// Runs a program of `tests/clients` against a gateway before a mock. It is told the gateway's base URL, the mock's, and the goldens.
fn drive(Runner(name, variable, usual): Runner, program: &str) {
    if !named(name) {
        skipped(&format!("GATEWRIGHT_TESTS_WITH does not name {name}; {program} was not tried"));
        return;
    }
    let mock = Mock::playing(SCRIPT).unwrap();
    let gateway = Gateway::with(&config(&mock)).unwrap();
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/tests/golden");
    let mut command = Command::new(std::env::var(variable).unwrap_or_else(|_| usual.into()));
    let out =
        command.arg(program_of(program)).args([format!("{}/v1", gateway.url), mock.url.clone()]).arg(goldens).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.contains("all good"), "{said}\n{}", gateway.log());
}

/// Node looks for libraries beside the program: where they were installed elsewhere, a copy of it runs there.
fn program_of(program: &str) -> PathBuf {
    let written = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(program);
    match (std::env::var("GATEWRIGHT_NODE_LIBRARIES"), written.file_name()) {
        (Ok(folder), Some(name)) if program.starts_with("node/") => {
            let copy = Path::new(&folder).join(name);
            std::fs::copy(&written, &copy).unwrap();
            copy
        }
        _ => written,
    }
}

#[test]
fn openais_python_library_works_unmodified() {
    drive(PYTHON, "openai_sdk.py");
}

#[test]
fn openais_python_library_works_unmodified_by_responses() {
    drive(PYTHON, "openai_responses.py");
}

#[test]
fn openais_node_library_and_vercels_sdk_work_unmodified_by_responses() {
    drive(NODE, "node/openai_responses.mjs");
}

#[test]
fn anthropics_python_library_works_unmodified() {
    drive(PYTHON, "anthropic_sdk.py");
}

#[test]
fn langchain_works_unmodified() {
    drive(PYTHON, "langchain_chat.py");
}

#[test]
fn pydantic_ai_works_unmodified() {
    drive(PYTHON, "pydantic_ai_agent.py");
}

#[test]
fn openais_agents_work_unmodified() {
    drive(PYTHON, "openai_agents.py");
}

#[test]
fn litellm_works_unmodified_as_a_client() {
    drive(PYTHON, "litellm_client.py");
}

#[test]
fn all_that_is_sent_is_valid_by_the_vendors_own_documents() {
    drive(PYTHON, "documents.py");
}

#[test]
fn a_suite_that_judges_apis_finds_no_fault() {
    drive(PYTHON, "comply.py");
}

#[test]
fn openais_node_library_works_unmodified() {
    drive(NODE, "node/openai_sdk.mjs");
}

#[test]
fn vercels_ai_sdk_works_unmodified() {
    drive(NODE, "node/ai_sdk.mjs");
}
