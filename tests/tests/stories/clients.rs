//! Client libraries that others wrote, against the gateway. They need Python and run when `GATEWRIGHT_TESTS_WITH` names it.

use std::path::Path;
use std::process::Command;

use gatewright_tests::{Gateway, Mock, named, skipped};

const SCRIPT: &str = r#"
rules:
  - when: {contains: weather}
    then:
      reasoning: ["I need ", "the weather."]
      tool_calls: [{name: weather, arguments: ['{"city": ', '"Oslo"}']}]
  - then:
      reasoning: ["I ", "think."]
      text: ["Hel", "lo."]
      usage: {prompt: 5, completion: 4}
"#;

#[test]
fn openais_python_library_works_unmodified() {
    if !named("python") {
        skipped("GATEWRIGHT_TESTS_WITH does not name python; OpenAI's Python library was not tried");
        return;
    }
    let python = std::env::var("GATEWRIGHT_PYTHON").unwrap_or_else(|_| "python3".into());
    let mock = Mock::playing(SCRIPT).unwrap();
    let gateway = Gateway::with(&mock.config("plugins:\n  secrets: {}\n")).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/openai_sdk.py");
    let out = Command::new(python).arg(program).arg(format!("{}/v1", gateway.url)).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.contains("all good"), "{said}\n{}", gateway.log());
}
