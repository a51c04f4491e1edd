//! Walks through grammars: whatever is drawn of what they leave, the end is a word of the grammar.

use serde_json::{Value, json};

use super::*;
use crate::check::calls::Callable;
use crate::check::shape::Wanted;
use crate::config::GenerationConfig;
use crate::fixtures::reference;
use crate::sample::{Draws, Sampler, sample};
use crate::tools::{Piece, ToolScan};

fn vocabulary() -> Arc<Vocabulary> {
    let files = reference("untied");
    let config = files.json("tokenizer_config.json").unwrap();
    Arc::new(Vocabulary::read(&files, &config, &GenerationConfig::read(&files).unwrap()).unwrap())
}

fn grammars(format: CallFormat) -> Grammars {
    Grammars::new(vocabulary(), format)
}

fn text(shape: Shape) -> Form {
    Form { text: Some(Wanted { field: "guided_json".into(), shape }), tools: Vec::new() }
}

fn json(schema: Value) -> Form {
    text(Shape::Json(schema))
}

fn tools(all: &[(&str, Value)]) -> Form {
    let tool = |(at, (name, arguments)): (usize, &(&str, Value))| Callable {
        name: (*name).to_owned(),
        arguments: arguments.clone(),
        field: format!("tools[{at}].function.parameters"),
    };
    Form { text: None, tools: all.iter().enumerate().map(tool).collect() }
}

/// Draws tokens, all that are left being alike, until the answer ends; what they write.
fn walk(grammars: &Grammars, form: &Form, most_calls: u32, seed: u64) -> String {
    let guide = grammars.guide(form, most_calls, || true).unwrap().unwrap();
    follow(grammars, guide, seed).unwrap_or_else(|text| panic!("no end: {text}"))
}

fn follow(grammars: &Grammars, mut guide: Guide, seed: u64) -> Result<String, String> {
    let (vocabulary, mut draws, mut bytes) = (&grammars.vocabulary, Draws::new(seed, 0), Vec::new());
    let sampler = Sampler::Draw { temperature: 1.0, min_p: 0.0, top_k: 0, top_p: 1.0 };
    for _ in 0..4000 {
        // Beyond the tokenizer's tokens there are some that no text has.
        let mut logits = vec![0.0f32; vocabulary.size() + 7];
        guide.keep(&mut logits, vocabulary).unwrap();
        let id = sample(&logits, sampler, &mut draws).unwrap();
        guide.take(id, vocabulary).unwrap();
        if vocabulary.ends(id) {
            return Ok(String::from_utf8(bytes).unwrap());
        }
        bytes.extend(vocabulary.bytes(id));
    }
    Err(String::from_utf8_lossy(&bytes).into_owned())
}

fn complaint_of(form: &Form) -> (String, String) {
    match grammars(CallFormat::Tag).guide(form, 1, || true).map(|guide| guide.is_some()) {
        Err(EngineError::Unsupported { param, message }) if message.contains(&param) => (param, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn json_is_that_of_its_schema() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["name", "age", "kind"],
        "properties": {
            "name": { "type": "string", "maxLength": 6 }, "age": { "type": "integer", "minimum": 3, "maximum": 12 },
            "kind": { "enum": ["größer", "</think>"] },
        },
    });
    let grammars = grammars(CallFormat::Tag);
    for seed in 0..20 {
        let text = walk(&grammars, &json(schema.clone()), 0, seed);
        let got: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert!((3..=12).contains(&got["age"].as_i64().unwrap()) && got["name"].as_str().unwrap().chars().count() <= 6, "{text}");
        assert!(["größer", "</think>"].contains(&got["kind"].as_str().unwrap()) && got.as_object().unwrap().len() == 3, "{text}");
    }
}

#[test]
fn expressions_grammars_and_lists_are_kept() {
    let grammars = grammars(CallFormat::Tag);
    for seed in 0..20 {
        let digits = walk(&grammars, &text(Shape::Regex("[0-9]{3}-(é|数)/".into())), 0, seed);
        assert!(
            digits.len() > 6 && digits[..3].parse::<u16>().is_ok() && (digits.ends_with("-é/") || digits.ends_with("-数/")),
            "{digits}"
        );
        let lark = "start: \"(\" inner \")\"\ninner: \"a\" | \"[\" inner \"]\"\n";
        let nested = walk(&grammars, &text(Shape::Lark(lark.into())), 0, seed);
        assert_eq!(nested.matches('[').count(), nested.matches(']').count(), "{nested}");
        let all = vec!["yes".to_owned(), "yes, \"but\"\n\u{7f}".to_owned(), "no".to_owned()];
        assert!(all.contains(&walk(&grammars, &text(Shape::Choice(all.clone())), 0, seed)));
    }
}

#[test]
fn a_seed_walks_one_way() {
    let grammars = grammars(CallFormat::Tag);
    let form = json(json!({ "type": "array", "items": { "type": "integer" }, "maxItems": 9 }));
    let (first, again) = (walk(&grammars, &form, 0, 5), walk(&grammars, &form, 0, 5));
    assert_eq!(first, again);
    // A copy goes its own way, and is not held up by the other.
    let guide = grammars.guide(&form, 0, || true).unwrap().unwrap();
    let copy = guide.clone();
    assert_eq!((follow(&grammars, guide, 5), follow(&grammars, copy, 5)), (Ok(first.clone()), Ok(first)));
}

#[test]
fn forced_calls_are_calls_in_each_format() {
    let one =
        json!({ "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"], "additionalProperties": false });
    let two = json!({ "type": "object", "properties": { "b": { "enum": ["```", "}\n"] } }, "additionalProperties": false });
    let form = tools(&[("first", one), ("se\"cond", two)]);
    for format in [CallFormat::R1, CallFormat::V31, CallFormat::Tag] {
        let grammars = grammars(format);
        let mut most = 0;
        for (seed, parallel) in (0..12).map(|seed| (seed, if seed < 6 { 1 } else { 128 })) {
            let written = walk(&grammars, &form, parallel, seed);
            let mut scan = ToolScan::default();
            let (mut calls, mut rest) = (Vec::<(String, String)>::new(), String::new());
            for piece in scan.push(&written).into_iter().chain(scan.finish()) {
                match piece {
                    Piece::Text(text) => rest.push_str(&text),
                    Piece::Call(name) => calls.push((name, String::new())),
                    Piece::Arguments(text) => calls.last_mut().unwrap().1.push_str(&text),
                }
            }
            assert_eq!(rest, "", "{written}");
            for (name, arguments) in &calls {
                let arguments: Value = serde_json::from_str(arguments).unwrap_or_else(|e| panic!("{e}: {written}"));
                match name.as_str() {
                    "first" => assert!(arguments["a"].is_i64() || arguments["a"].is_number(), "{written}"),
                    _ => assert!(name == "se\"cond" && arguments.is_object(), "{written}"),
                }
            }
            assert!(!calls.is_empty() && (parallel > 1 || calls.len() == 1), "{written}");
            most = most.max(calls.len());
        }
        assert!(most > 1, "{format:?}: never more than one");
    }
}

#[test]
fn a_shape_leaves_the_calls_that_may_be_made() {
    let mut form = tools(&[("f", json!({ "type": "object", "additionalProperties": false }))]);
    form.text = Some(Wanted { field: "response_format".into(), shape: Shape::Json(json!({ "const": 7 })) });
    let grammars = grammars(CallFormat::Tag);
    let walks: Vec<String> = (0..30).map(|seed| walk(&grammars, &form, 1, seed)).collect();
    assert!(walks.iter().any(|text| text == "7") && walks.iter().any(|text| text.starts_with("<tool_call>")), "{walks:?}");
    assert!(
        walks.iter().all(|text| text == "7" || text.starts_with("<tool_call>\n{\"name\": \"f\", \"arguments\": {")),
        "{walks:?}"
    );
}

#[test]
fn a_thought_may_be_opened_first_and_only_first() {
    let (grammars, form) = (grammars(CallFormat::Tag), json(json!({ "type": "object" })));
    let think = grammars.vocabulary.think().unwrap();
    let mut guide = grammars.guide(&form, 0, || true).unwrap().unwrap().after_thought(Some(think.open));
    let allowed = |guide: &mut Guide| {
        let mut logits = vec![0.0f32; grammars.vocabulary.size()];
        guide.keep(&mut logits, &grammars.vocabulary).unwrap();
        (0u32..).zip(logits).filter(|(_, logit)| logit.is_finite()).map(|(id, _)| id).collect::<Vec<_>>()
    };
    let first = allowed(&mut guide);
    assert!(first.contains(&think.open) && first.len() > 1 && !first.contains(&think.close), "{first:?}");
    guide.take(think.open, &grammars.vocabulary).unwrap();
    let after = allowed(&mut guide);
    assert_eq!(after.len(), first.len() - 1, "nothing of the grammar is spent");
}

#[test]
fn what_cannot_be_compiled_is_refused_by_name() {
    let (field, message) = complaint_of(&json(json!({ "type": "object", "properties": { "a": { "type": "strung" } } })));
    assert!(field == "guided_json" && message.contains("strung"), "{message}");
    let (_, message) = complaint_of(&json(json!({ "type": "string", "if": {} })));
    assert!(message.contains("if"), "{message}");
    let lenient = json(json!({ "type": "integer", "if": {}, "x-guidance": { "lenient": true } }));
    assert!(grammars(CallFormat::Tag).guide(&lenient, 0, || true).is_ok());
    for shape in [Shape::Regex("[a".into()), Shape::Lark("begin: \"a\"".into()), Shape::Lark("start: @nothing".into())] {
        let (_, message) = complaint_of(&text(shape));
        assert!(message.len() < MAX_COMPLAINT + 100 && !message.contains("backtrace"), "{message}");
    }
    let (field, _) = complaint_of(&tools(&[("f", json!({ "type": "object" })), ("g", json!({ "type": "strung" }))]));
    assert_eq!(field, "tools[1].function.parameters");
}

#[test]
fn each_grammar_is_compiled_in_a_turn_of_its_own_while_somebody_waits() {
    let grammars = grammars(CallFormat::Tag);
    let bad = tools(&[("f", json!({ "type": "object" })), ("g", json!({ "type": "strung" }))]);
    let turns = |most: u32| {
        let turns = std::cell::Cell::new(0);
        let waits = || {
            assert!(grammars.turn.try_lock().is_err(), "asked when the turn has come");
            turns.set(turns.get() + 1);
            turns.get() <= most
        };
        let field = grammars.guide(&bad, 1, waits).map(|guide| guide.is_some()).map_err(|e| match e {
            EngineError::Unsupported { param, .. } => param,
            other => panic!("{other:?}"),
        });
        (turns.get(), field)
    };
    assert_eq!(turns(0), (1, Ok(false)));
    assert!(grammars.factory.get().is_none(), "nothing was compiled");
    assert_eq!(turns(1), (2, Err("tools[0].function.parameters".into())), "nobody looks further whose fault it is");
    assert_eq!(turns(9), (3, Err("tools[1].function.parameters".into())));
}

/// Each is nearly as large as a request may make it; what counts is that it ends, in an answer or a refusal.
#[test]
fn hostile_grammars_end() {
    let chain: String = (0..4500).map(|at| format!("r{at}: r{}\n", at + 1)).collect();
    let chain = format!("start: r0\n{chain}r4500: \"a\"\n");
    let nested = format!("start: {}\"a\"{}\n", "(".repeat(16_000), ")".repeat(16_000));
    let terminals: String = (0..600).map(|at| format!("T{at}: T{} | \"{at}\"\n", at + 1)).collect();
    let terminals = format!("start: T0\n{terminals}T600: \"a\"\n");
    let definitions: Value =
        (0..3000).map(|at| (format!("d{at}"), json!({ "$ref": format!("#/$defs/d{}", (at + 1) % 3000) }))).collect();
    let branches: Vec<Value> =
        (0..600).map(|at| json!({ "type": "object", "properties": { format!("p{at}"): {}, "q": {} } })).collect();
    let deep = (0..100).fold(json!({ "type": "string" }), |inner, _| json!({ "anyOf": [inner, { "type": "array", "items": {} }] }));
    let product = json!({ "allOf": (0..40).map(|_| json!({ "anyOf": [{ "type": "string" }, { "type": "object" }, { "minLength": 3 }] })).collect::<Vec<_>>() });
    let forms = [
        ("chain", text(Shape::Lark(chain))),
        ("nested", text(Shape::Lark(nested))),
        ("terminals", text(Shape::Lark(terminals))),
        ("repeated", text(Shape::Regex("((a{1,200}){1,200}b{1,200}){1,200}".into()))),
        ("alternatives", text(Shape::Regex((0..8000).map(|at| format!("a{at}.*b")).collect::<Vec<_>>().join("|")))),
        ("definitions", json(json!({ "$ref": "#/$defs/d0", "$defs": definitions }))),
        ("branches", json(json!({ "allOf": [{ "anyOf": branches.clone() }, { "anyOf": branches }] }))),
        ("deep", json(deep)),
        ("product", json(product)),
        ("long", json(json!({ "type": "string", "minLength": 1_000_000_000, "maxLength": 2_000_000_000 }))),
    ];
    let grammars = grammars(CallFormat::Tag);
    for (name, form) in forms {
        let mut logits = vec![0.0f32; grammars.vocabulary.size()];
        match grammars.guide(&form, 0, || true).and_then(|guide| guide.unwrap().keep(&mut logits, &grammars.vocabulary)) {
            Ok(()) => {}
            Err(EngineError::Unsupported { message, .. }) => assert!(message.len() < MAX_COMPLAINT + 100, "{name}: {message}"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
}
