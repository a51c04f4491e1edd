//! What a request may ask, and what it is refused by.

use gatewright_types::{Extras, RawJson, Sampling, Tool, ToolDefinition};

use super::*;

fn raw(json: &str) -> RawJson {
    serde_json::from_str(json).unwrap()
}

fn refused(change: impl FnOnce(&mut ChatRequest)) -> String {
    let mut request = ChatRequest::default();
    change(&mut request);
    match plan(&request, &GenerationConfig::default(), 320) {
        Err(EngineError::Unsupported { param, message }) if message.contains(&param) => param,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    assert_eq!(refused(|r| r.sampling.top_logprobs = Some(2)), "top_logprobs");
    assert_eq!(refused(|r| (r.sampling.logprobs, r.sampling.top_logprobs) = (Some(true), Some(21))), "top_logprobs");
    assert_eq!(refused(|r| r.sampling.presence_penalty = Some(2.5)), "presence_penalty");
    assert_eq!(refused(|r| r.sampling.frequency_penalty = Some(-2.5)), "frequency_penalty");
    let extra = |name: &'static str, json: &str| refused(|r| r.extras.push(name, raw(json))) == name;
    for json in [r#"{"320": 1}"#, r#"{"-1": 1}"#, r#"{"a": 1}"#, r#"{"5": 101}"#, r#"{"5": null}"#, "[1]"] {
        assert!(extra("logit_bias", json), "{json}");
    }
    assert!(extra("top_k", "-2") && extra("top_k", "1.5") && extra("top_k", r#""5""#));
    assert!(extra("min_p", "1.5") && extra("min_p", "true"));
    assert!(extra("repetition_penalty", "0") && extra("repetition_penalty", "-1"));
    assert!(extra("ebnf", "\"a\"") && extra("ignore_eos", "true") && extra("min_tokens", "5"));
    assert_eq!(refused(|r| r.extras.push("chat_template_kwargs", raw(r#"{"tools": []}"#))), "chat_template_kwargs.tools");
    assert!(extra("chat_template_kwargs", "[1]"));
    assert_eq!(refused(|r| r.response_format = Some(raw(r#"{"type":"xml"}"#))), "response_format");
    assert_eq!(refused(|r| r.tool_choice = Some(raw("\"required\""))), "tool_choice");
    assert_eq!(refused(|r| r.tool_choice = Some(raw(r#"{"type":"function"}"#))), "tool_choice");
    assert_eq!(refused(|r| r.sampling.max_tokens = Some(0)), "max_tokens");
    assert_eq!(refused(|r| r.sampling.n = Some(17)), "n");
    assert_eq!(refused(|r| r.sampling.temperature = Some(-1.0)), "temperature");
    assert_eq!(refused(|r| r.sampling.top_p = Some(1.5)), "top_p");
    assert_eq!(refused(|r| r.sampling.stop = vec!["a".to_owned(); 17]), "stop");
    assert_eq!(refused(|r| r.sampling.stop = vec!["a".repeat(2048), "b".repeat(2049)]), "stop");
}

#[test]
fn fields_that_ask_for_nothing_pass() {
    let mut request = ChatRequest {
        response_format: Some(raw(r#"{"type":"text"}"#)),
        tool_choice: Some(raw("\"auto\"")),
        sampling: Sampling { logprobs: Some(false), presence_penalty: Some(0.0), ..Sampling::default() },
        ..ChatRequest::default()
    };
    request.sampling.stop = vec!["a".repeat(256); 16];
    request.extras.push("logit_bias", raw("{}"));
    request.extras.push("user", raw("\"someone\""));
    request.extras.push("min_p", raw("null"));
    request.extras.push("ignore_eos", raw("false"));
    assert!(plan(&request, &GenerationConfig::default(), 320).is_ok());
}

#[test]
fn the_models_advice_fills_what_is_left_open() {
    let advised = GenerationConfig { temperature: Some(0.6), top_p: Some(0.95), ..GenerationConfig::default() };
    let with = |temperature, advised: &GenerationConfig| {
        let sampling = Sampling { temperature, seed: Some(-1), ..Sampling::default() };
        plan(&ChatRequest { sampling, ..ChatRequest::default() }, advised, 320).unwrap()
    };
    assert_eq!(with(None, &advised).sampler, Sampler::Draw { temperature: 0.6, min_p: 0.0, top_k: 0, top_p: 0.95 });
    assert_eq!(with(Some(0.0), &advised).sampler, Sampler::Greedy);
    let greedy = GenerationConfig { do_sample: Some(false), ..advised };
    assert_eq!(with(None, &greedy).sampler, Sampler::Greedy);
    assert_eq!(with(Some(0.5), &greedy).seed, Some(u64::MAX));
}

#[test]
fn a_forced_call_goes_before_a_shape_and_an_offered_one_beside_it() {
    let mut request = ChatRequest { response_format: Some(raw(r#"{"type":"json_object"}"#)), ..ChatRequest::default() };
    let form = |request: &ChatRequest| plan(request, &GenerationConfig::default(), 320).unwrap().form;
    assert!(form(&request).text.is_some() && form(&request).tools.is_empty());
    let tool = ToolDefinition {
        name: "f".into(),
        description: None,
        parameters: None,
        function_extras: Extras::new(),
        extras: Extras::new(),
    };
    request.tools = vec![Tool::Function(tool)];
    assert!(form(&request).text.is_some() && form(&request).tools.len() == 1);
    request.tool_choice = Some(raw("\"none\""));
    assert!(form(&request).text.is_some() && form(&request).tools.is_empty());
    request.tool_choice = Some(raw("\"required\""));
    assert!(form(&request).text.is_none() && form(&request).tools.len() == 1);
}

#[test]
fn controls_of_the_pocket_are_read() {
    let mut request = ChatRequest::default();
    for (name, json) in
        [("top_k", "40"), ("min_p", "0.05"), ("repetition_penalty", "1.1"), ("logit_bias", r#"{"7": -100, "3": 1.5}"#)]
    {
        request.extras.push(name, raw(json));
    }
    (request.sampling.presence_penalty, request.sampling.frequency_penalty) = (Some(0.5), Some(-0.5));
    (request.sampling.logprobs, request.sampling.top_logprobs) = (Some(true), Some(3));
    let advised =
        GenerationConfig { min_p: Some(0.5), top_k: Some(5), repetition_penalty: Some(1.3), ..GenerationConfig::default() };
    let got = plan(&request, &advised, 320).unwrap();
    assert_eq!(got.sampler, Sampler::Draw { temperature: 1.0, min_p: 0.05, top_k: 40, top_p: 1.0 });
    let bias = vec![(7, -100.0), (3, 1.5)];
    assert_eq!(got.shaping, Shaping { presence: 0.5, frequency: -0.5, repetition: 1.1, bias });
    assert_eq!(got.logprobs, Some(3));
    let got = plan(&ChatRequest::default(), &advised, 320).unwrap();
    assert_eq!(got.sampler, Sampler::Draw { temperature: 1.0, min_p: 0.5, top_k: 5, top_p: 1.0 });
    assert_eq!((got.shaping.repetition, got.logprobs), (1.3, None));
}
