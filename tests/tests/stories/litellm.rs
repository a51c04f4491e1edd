//! A configuration of LiteLLM's proxy: served as it is, imported, and what its users' dashboards read.

use std::process::Command;

use gatewright_tests::{Gateway, Mock, Request, Setup, binary};

const SCRIPT: &str = "rules:\n  - when: {model: down}\n    then: {fault: {status: 503, body: '{}'}}\n\
                      \x20 - when: {model: small}\n    then: {fault: {status: 400, body: {error: {message: Too much., code: context_length_exceeded}}}}\n\
                      \x20 - then: {text: 'from {{model}}', usage: {prompt: 100, completion: 10}}\n";

fn config(mock: &Mock) -> String {
    format!(
        "model_list:\n\
         \x20 - model_name: chat\n    litellm_params: {{model: openai/down, api_base: '{0}/v1', api_key: os.environ/SOME_KEY}}\n\
         \x20 - model_name: spare\n    litellm_params:\n      model: hosted_vllm/spare-model\n      api_base: {0}/v1\n\
         \x20     input_cost_per_token: 0.000001\n      output_cost_per_token: 2e-06\n      caching: true\n\
         \x20 - model_name: small\n    litellm_params: {{model: hosted_vllm/small, api_base: '{0}/v1'}}\n\
         \x20 - model_name: any-*\n    litellm_params: {{model: 'hosted_vllm/org/*', api_base: '{0}/v1'}}\n\
         router_settings: {{num_retries: 0, fallbacks: [{{chat: [spare]}}], context_window_fallbacks: [{{small: [spare]}}]}}\n\
         general_settings: {{master_key: os.environ/LITELLM_MASTER_KEY}}\n",
        mock.url
    )
}

fn env() -> Vec<(String, String)> {
    [("SOME_KEY", "k-some"), ("LITELLM_MASTER_KEY", "sk-1234")].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

#[test]
fn its_file_is_served_as_it_is_with_its_headers_and_what_is_left_out_is_told() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let gateway = Gateway::start(&Setup { config: Some(config(&mock)), env: env(), ..Setup::default() }).unwrap();
    assert_eq!(Request::ask("chat", "x").send(&gateway.url).unwrap().status, 401);
    let ask = Request::ask("chat", "x").header("authorization", "Bearer sk-1234").header("x-request-id", "call-1");
    let answer = ask.send(&gateway.url).unwrap();
    assert!(answer.status == 200 && answer.body.contains("from spare-model"), "{} {}", answer.status, answer.body);
    let base = format!("{}/v1", mock.url);
    for (name, value) in [
        ("call-id", "call-1"),
        ("model-group", "chat"),
        ("model-id", "vllm/spare-model"),
        ("model-api-base", &base),
        ("attempted-fallbacks", "1"),
        ("attempted-retries", "0"),
        ("response-cost", "0.00012"),
    ] {
        assert_eq!(answer.header(&format!("x-litellm-{name}")), Some(value), "{name}: {:?}", answer.headers);
    }
    assert!(answer.header("x-litellm-overhead-duration-ms").unwrap().parse::<f64>().is_ok());
    assert_eq!(mock.seen().unwrap()["requests"][0]["headers"]["authorization"], "Bearer k-some");
    for (model, leg) in [("small", "from spare-model"), ("any-kind/of", "from org/kind/of")] {
        let answer = Request::ask(model, "x").header("authorization", "Bearer sk-1234").send(&gateway.url).unwrap();
        assert!(answer.status == 200 && answer.body.contains(leg), "{model}: {} {}", answer.status, answer.body);
    }
    let log = gateway.log();
    assert!(log.contains("10:7: model_list[1].litellm_params.caching: this parameter is not carried over"), "{log}");
}

#[test]
fn its_file_is_imported_and_the_import_is_fit_to_be_served() {
    let mock = Mock::playing(SCRIPT).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.yaml"), config(&mock)).unwrap();
    let run = |args: &[&str]| {
        Command::new(binary().unwrap()).args(args).current_dir(folder.path()).env_clear().envs(env()).output().unwrap()
    };
    let imported = run(&["import", "litellm", "config.yaml"]);
    let told = String::from_utf8(imported.stderr).unwrap();
    assert!(imported.status.success() && told.starts_with("config.yaml:10:7: model_list[1].litellm_params.caching"), "{told}");
    let text = String::from_utf8(imported.stdout).unwrap();
    assert!(text.contains("api_key: \"${SOME_KEY}\"") && !text.contains("sk-1234") && !text.contains("k-some"), "{text}");
    std::fs::write(folder.path().join("gatewright.yaml"), &text).unwrap();
    for file in ["gatewright.yaml", "config.yaml"] {
        let valid = run(&["validate", file]);
        assert!(valid.status.success(), "{}{}", String::from_utf8_lossy(&valid.stderr), text);
    }
    let foreign = run(&["import", "litellm", "gatewright.yaml"]);
    assert_eq!(foreign.status.code(), Some(2), "{}", String::from_utf8_lossy(&foreign.stderr));
}
