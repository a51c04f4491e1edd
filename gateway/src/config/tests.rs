//! Tests of the configuration as a whole: what a file comes to, and what is told of a wrong one.

mod patterns;
mod plugins;

use std::path::Path;
use std::time::Duration;

use gatewright_plugins::{Mode, OnError};
use serde_json::Value;

use super::facts::{Facts, LegTarget, ProviderKind};
use super::{load, load_file, schema};
use crate::environment::Environment;
use crate::packed;

const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn environment() -> Environment {
    Environment::of(&[("OPENAI_API_KEY", "sk-openai"), ("TOKEN", "t-1"), ("HOME", "/home/x")], "/w")
}

fn told(text: &str) -> Vec<String> {
    match load(text, Path::new("/w"), &environment()) {
        Ok(_) => Vec::new(),
        Err(complaints) => complaints.iter().map(ToString::to_string).collect(),
    }
}

fn facts(text: &str) -> Facts {
    load(text, Path::new("/w"), &environment()).unwrap_or_else(|complaints| panic!("{complaints:#?}"))
}

#[test]
fn an_empty_file_has_the_defaults() {
    let facts = facts("");
    assert_eq!(facts.listen.to_string(), "127.0.0.1:4000");
    assert_eq!(facts.data, Path::new("/home/x/.local/share/gatewright"));
    assert!(facts.providers.is_empty() && facts.plugins.is_empty() && !facts.verdict_headers);
    assert_eq!(facts.limits.drain_time, Duration::from_secs(30));
}

#[test]
fn a_provider_speaks_what_it_is_told_to_or_what_its_name_is_known_for() {
    let text = "providers:\n  anthropic: {}\n  claude: {dialect: anthropic, base_url: 'http://h'}\n  openai: {}\n  other: {base_url: 'http://h'}\n";
    let facts = facts(text);
    let kinds = facts.providers.values().map(|provider| provider.kind);
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [ProviderKind::Anthropic, ProviderKind::Anthropic, ProviderKind::OpenAi, ProviderKind::OpenAi]
    );
    let call = "providers: {a: {dialect: anthropic, base_url: 'http://h/v1/messages'}}";
    assert!(told(call)[0].contains("write `http://h/v1`"), "{:?}", told(call));
}

#[test]
fn a_file_comes_to_facts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "from-a-file\n").unwrap();
    std::fs::create_dir(folder.path().join("mine")).unwrap();
    std::fs::write(folder.path().join("mine/plugin.yaml"), "name: mine\n").unwrap();
    let text = format!(
        "listen: localhost:5000\ndata: here\nproviders:\n  openai: {{}}\n  local:\n    base_url: http://127.0.0.1:8080/v1/\n    \
         api_key: file:token\n    headers: {{X-Auth: \"Bearer ${{TOKEN}}, $${{plain}}\"}}\n    models: [m1]\n    timeouts: {{idle: 3s}}\n\
         routes:\n  fast:\n    legs: [openai/gpt-x, local/m1]\n    plugins: []\n    cache: 1h\n    tools: {{}}\n\
         plugins:\n  mine: {{folder: mine, mode: shadow, on_error: open, settings: {{a: 1}}, grants: [log], limits: {{memory: 1}}}}\n\
         keys:\n  alice: {{sha256: {DIGEST}, models: [fast, openai/*], requests_per_minute: 60}}\nlimits: {{body: 1MiB}}\n"
    );
    let facts = load(&text, folder.path(), &environment()).unwrap();
    assert_eq!((facts.listen.to_string(), facts.data), ("127.0.0.1:5000".to_owned(), folder.path().join("here")));
    let openai = &facts.providers["openai"];
    assert_eq!((openai.base_url.as_str(), openai.any_model), ("https://api.openai.com/v1", true));
    assert_eq!(openai.api_key.as_ref().unwrap().reveal(), "sk-openai");
    let local = &facts.providers["local"];
    assert_eq!((local.base_url.as_str(), local.any_model), ("http://127.0.0.1:8080/v1", false));
    assert_eq!(local.api_key.as_ref().unwrap().reveal(), "from-a-file");
    assert_eq!(local.headers[0].1.reveal(), "Bearer t-1, ${plain}");
    assert_eq!(local.timeouts.idle, Duration::from_secs(3));
    let route = &facts.routes["fast"];
    assert_eq!(route.legs[1].to, LegTarget::Provider("local".to_owned()));
    assert_eq!((route.cache, route.plugins.as_deref()), (Some(Duration::from_secs(3600)), Some(&[][..])));
    assert_eq!(route.tools.unwrap().max_rounds, 8);
    let mine = &facts.plugins["mine"].operator;
    assert_eq!((mine.mode, mine.on_error, mine.settings["a"].as_u64()), (Mode::Shadow, Some(OnError::Open), Some(1)));
    assert_eq!((facts.keys[0].tenant.as_str(), facts.keys[0].requests_per_minute), ("alice", Some(60)));
    assert_eq!((facts.limits.body_bytes, facts.default_plugins), (1 << 20, vec!["mine".to_owned()]));
}

#[test]
fn all_mistakes_are_told_at_once_with_place_and_hint() {
    let text = "\
listen: 127.0.0.1
route: {}
providers:
  openai: {api_key: \"${OPENAI_API_KEI}\", attempts: 0}
  other:
    api_kye: x
routes:
  fast:
    legs: [opnai/gpt-x, fast]
    plugins: [secretz]
    cache: 60
    strict: yes please
  empty: {legs: []}
cache: {max_size: 8 megs}
keys:
  bob: {sha256: gw-0123, models: [fsat]}
limits:
  body: 1MiB
  body: 2MiB
  drain_time: soon
";
    let told = told(text);
    let expected = [
        "1:9: listen: `127.0.0.1` is not an address with a port; write it like `127.0.0.1:4000` or `[::]:4000`",
        "2:1: unknown key `route`; did you mean `routes`?",
        "4:21: providers.openai.api_key: the environment has no variable `OPENAI_API_KEI`, or it is empty; did you mean `OPENAI_API_KEY`?",
        "4:52: providers.openai.attempts: 0 is less than 1",
        "5:3: providers.other: `base_url` is missing; write it like `http://127.0.0.1:8080/v1`",
        "6:5: providers.other: unknown key `api_kye`; did you mean `api_key`?",
        "9:12: routes.fast.legs[0]: no provider is named `opnai`; did you mean `openai`?",
        "9:25: routes.fast.legs[1]: `fast` is no model of the embedded engine; write `provider/model`, or a name of `models`",
        "10:15: routes.fast.plugins[0]: no plugin is named `secretz`",
        "11:12: routes.fast.cache: expected text, found the number 60; for example `30s`, `5m`, `1h30m`",
        "12:13: routes.fast.strict: expected true or false, found `yes please`",
        "13:17: routes.empty.legs: at least 1 must be given; for example `[...]`",
        "14:19: cache.max_size: `8 megs` is not an amount of bytes; write it like `512B`, `64KiB`, `8MiB`, `1GiB` or `10MB`",
        "16:17: keys.bob.sha256: this is not a SHA-256 of 64 hexadecimal digits; this is the key itself; write its SHA-256: ",
        "16:35: keys.bob.models[0]: `fsat` is no route, model or `provider/model`; did you mean `fast`?",
        "19:3: limits: `body` is written twice, first on line 18",
        "20:15: limits.drain_time: `soon` is not a length of time; write it like `500ms`, `30s`, `5m`, `1h30m` or `7d`",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "\n     told: {told}\n expected: {expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn values_of_the_wrong_kind_are_told_without_repeating_secrets() {
    for (text, expected) in [
        (
            "listen: 4000",
            "1:9: listen: expected text, found the number 4000; for example `127.0.0.1:4000`, `0.0.0.0:4000`, `[::]:4000`",
        ),
        ("providers: [openai]", "1:12: providers: expected keys and values, found a list"),
        (
            "plugins: {x: {mode: enforced}}",
            "1:21: plugins.x.mode: expected `enforce` or `shadow` or `off`, found `enforced`; did you mean `enforce`?",
        ),
        ("keys: {a: {}}", "1:11: keys.a: `sha256` is missing"),
        ("keys: {a: }", "keys.a: `sha256` is missing"),
        (
            "providers: {p: {base_url: 'ftp://h'}}",
            "1:27: providers.p.base_url: this is not an http or https URL; write it like `https://host/v1`",
        ),
        (
            "providers: {p: {base_url: 'http://u:p@h/v1'}}",
            "1:27: providers.p.base_url: a URL is no place for a secret; use `api_key` or `headers`",
        ),
        (
            "providers: {p: {base_url: 'http://h/v1/chat/completions'}}",
            "1:27: providers.p.base_url: this is the address of one call, not the base; write `http://h/v1`",
        ),
        ("providers: {openai: {api_key: 'file:/no/such'}}", "1:31: providers.openai.api_key: cannot read /no/such: "),
        (
            "providers: {openai: {api_key: \"a\\nb\"}}",
            "1:31: providers.openai.api_key: the secret has a character that cannot be sent in a header",
        ),
        ("providers: {openai: {headers: {Host: x}}}", "1:32: providers.openai.headers.Host: `Host` is set by the gateway itself"),
        ("logging: {format: xml}", "1:19: logging.format: expected `plain` or `json`, found `xml`"),
        ("default_plugins: [nope]", "1:19: default_plugins[0]: no plugin is named `nope`"),
        ("admin_listen: 127.0.0.1:4000", "1:15: admin_listen: clients and admin cannot both be served at 127.0.0.1:4000"),
        ("plugins: {x: {folder: a, oci: 'oci://r.example/x'}}", "1:31: plugins.x.oci: give `folder` or `oci`, not both"),
        ("plugins: {x: {oci: 'x:1'}}", "1:20: plugins.x.oci: `x:1` is no place in a registry: it begins with `oci://`"),
        ("plugins: {x: {file: no-such.tar.gz}}", "1:21: plugins.x.file: /w/no-such.tar.gz is no file"),
        ("plugin_keys: [x]", "1:15: plugin_keys[0]: not a public key in PEM"),
        ("plugins: {secrets: {signed_by: ['file:/no/such']}}", "1:33: plugins.secrets.signed_by[0]: cannot read /no/such: "),
        (
            "registries: {'https://r': {username: a, password: b}}",
            "1:14: registries.https://r: `https://r` is not a registry's host; give the host alone",
        ),
        ("allowed_hosts: ['http://h']", "1:17: allowed_hosts[0]: `http://h` is not a host's name"),
        ("device: gpu", "1:9: device: unknown device `gpu`"),
        ("models: {m: {}}", "1:10: models.m: "),
        ("models: {m: {quantize: q5}}", "1:24: models.m.quantize: expected `q8` or `q4`, found `q5`"),
        ("models: {m: {yarn: vllm}}", "1:20: models.m.yarn: "),
        ("models: {m: {chat_template: mine}}", "1:29: models.m.chat_template: "),
    ] {
        let told = told(text);
        assert!(told.iter().any(|line| line.contains(expected)), "{text}\n     told: {told:#?}\n expected: {expected}");
    }
    let told = told("providers: {p: {base_url: 1, api_key: [sk-hidden], headers: sk-hidden-and-long-as-keys-are}}").join("\n");
    assert!(!told.is_empty() && !told.contains("sk-hidden"), "{told}");
}

#[test]
fn numbers_that_the_schema_takes_and_we_cannot_are_told_with_their_places() {
    let text = format!(
        "providers:\n  p: {{base_url: 'http://h/v1', attempts: 2.0}}\n  q: {{base_url: 'ftp://h'}}\nkeys:\n  k:\n    sha256: {DIGEST}\n    \
         requests_per_minute: 1e20\n    in_flight: 5000000000\n"
    );
    let expected = [
        "2:42: providers.p.attempts: 2.0 is not a whole number that can stand here",
        "3:17: providers.q.base_url: this is not an http or https URL",
        "7:26: keys.k.requests_per_minute: 1e+20 is not a whole number that can stand here",
        "8:16: keys.k.in_flight: 5000000000 is not a whole number that can stand here",
    ];
    let told = told(&text);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "\n     told: {told}\n expected: {expected}");
    }
}

#[cfg(feature = "engine")]
#[test]
fn adapters_are_names_of_their_model() {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in [("lora", "adapter_config.json"), ("m", "config.json"), ("none", "x")] {
        std::fs::create_dir(folder.path().join(file)).unwrap();
        std::fs::write(folder.path().join(file).join(name), "{}").unwrap();
    }
    let read = |text: &str| load(text, folder.path(), &environment());
    let text = "models: {m: {folder: m, adapters: {tuned: lora}}}\nroutes: {r: {legs: [tuned]}}\nkeys: {k: {sha256: \
                '0000000000000000000000000000000000000000000000000000000000000000', models: [tuned]}}";
    let facts = read(text).unwrap();
    assert_eq!(facts.models["m"].adapters["tuned"], folder.path().join("lora"));
    assert_eq!((facts.routes["tuned"].legs[0].model.as_str(), facts.routes["r"].legs[0].model.as_str()), ("tuned", "tuned"));
    for (text, said) in [
        ("models: {m: {folder: m, adapters: {tuned: none}}}", "none has no adapter_config.json"),
        ("models: {m: {folder: m, adapters: {m: lora}}}", "`m` is a name of the model `m` already"),
        (
            "models: {m: {folder: m, adapters: {x: lora}}, n: {folder: m, adapters: {x: lora}}}",
            "`x` is a name of the model `n` already",
        ),
    ] {
        let told = read(text).unwrap_err();
        assert!(told[0].to_string().contains(said), "{told:?}");
    }
}

#[cfg(feature = "engine")]
#[test]
fn a_model_may_be_a_gguf_file_or_a_folder_with_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("none")).unwrap();
    std::fs::write(folder.path().join("m.gguf"), "").unwrap();
    let read = |text: &str| load(text, folder.path(), &environment());
    let facts = read("models: {file: {folder: m.gguf, quantize: q4}, one: {folder: .}}").unwrap();
    assert_eq!(facts.models["file"].quantize, Some(gatewright_types::Quantization::Q4));
    assert_eq!(facts.models["one"].quantize, None);
    for missing in ["none", "n.gguf"] {
        let told = read(&format!("models: {{m: {{folder: {missing}}}}}")).unwrap_err();
        assert!(told[0].to_string().contains("or a GGUF file"), "{told:?}");
    }
}

#[test]
fn a_mistake_in_one_entry_does_not_make_others_wrong() {
    let text = "providers: {p: {base_url: 'http://h/v1', attempts: 99}}\nroutes: {r: {legs: [p/m]}}\nkeys: {k: {sha256: 1, models: [r]}}\n";
    let told = told(text);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("99 is more than 10") && told[1].contains("keys.k.sha256"));
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let complaints = load_file(Path::new("no-such.yaml"), &environment()).unwrap_err();
    assert!(complaints[0].to_string().starts_with("cannot be read: "));
}

/// Walks a schema: every object refuses unknown keys, every key is described.
fn walk(schema: &Value, root: &Value, path: &str) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return walk(root.pointer(name.trim_start_matches('#')).unwrap(), root, path);
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{path} takes unknown keys");
        for (key, value) in properties {
            let described = value.get("description").and_then(Value::as_str).is_some_and(|text| text.len() > 10);
            assert!(described, "{path}.{key} is not documented");
            walk(value, root, &format!("{path}.{key}"));
        }
    }
    for inner in ["additionalProperties", "items"] {
        if let Some(inner) = schema.get(inner).filter(|inner| inner.is_object()) {
            walk(inner, root, &format!("{path}[]"));
        }
    }
}

#[test]
fn one_body_fits_among_those_that_come_in() {
    let read = |text: &str| load(text, Path::new("/w"), &environment());
    assert_eq!(read("limits: {body: 1GiB}\n").unwrap().limits.bodies_bytes, 1 << 30);
    let told = read("limits: {bodies: 1MiB}\n").unwrap_err();
    assert!(told[0].to_string().starts_with("1:18: limits.bodies: less than one body"), "{told:?}");
}

#[test]
fn the_schema_covers_and_documents_every_key() {
    let schema = schema();
    walk(&schema, &schema, "");
    let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let expected = "listen admin_listen data allowed_hosts device providers catalog reference_model models routes plugins global_plugins default_plugins plugin_keys registries rules breaker retries cache conversations keys limits verdict_headers compat logging";
    assert_eq!(keys.join(" "), expected);
}

/// All keys that a text mentions, commented out or not.
fn mentioned(text: &str, key: &str) -> bool {
    text.lines().any(|line| line.contains(&format!("{key}:")))
}

#[test]
fn the_example_is_fit_to_be_served_and_shows_every_key() {
    let text = include_str!("../../../gatewright.example.yaml");
    let complaints = load(text, Path::new("/w"), &environment()).err().unwrap_or_default();
    // A build that was made before the policies were there lacks them.
    let lacking = |message: &str| packed::policy("secrets").is_none() && message.contains("ready-made");
    let complaints: Vec<_> = complaints.iter().filter(|complaint| !lacking(&complaint.message)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let schema = schema();
    let definitions = schema["$defs"].as_object().unwrap().values();
    for object in std::iter::once(&schema).chain(definitions) {
        for key in object.get("properties").and_then(Value::as_object).into_iter().flat_map(serde_json::Map::keys) {
            assert!(mentioned(text, key), "the example does not show `{key}`");
        }
    }
}

#[test]
fn what_is_commented_out_in_the_example_is_right_too() {
    let text = include_str!("../../../gatewright.example.yaml");
    // `#x` is an alternative to switch on, `# x` is prose.
    let on: String = text
        .lines()
        .map(|line| {
            let body = line.trim_start();
            let indent = &line[..line.len() - body.len()];
            match body.strip_prefix('#') {
                Some(key) if key.starts_with(|c: char| c.is_ascii_alphabetic()) || key.starts_with("  ") => {
                    format!("{indent}{key}\n")
                }
                _ => format!("{line}\n"),
            }
        })
        .collect();
    let complaints = load(&on, Path::new("/w"), &environment()).err().unwrap_or_default();
    let shape = |message: &str| message.contains("unknown key") || message.contains("expected") || message.contains("YAML");
    let wrong: Vec<_> = complaints.iter().filter(|complaint| shape(&complaint.message)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{on}");
}
