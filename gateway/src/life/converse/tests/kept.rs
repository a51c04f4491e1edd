//! What must not leave stays, by whichever way a plugin would send it out: from the note on, and in every dialect.

use gatewright_plugins::Mode;
use serde_json::json;

use super::ASK;
use super::routing::{cloud, rule};
use crate::config::facts::{AskFact, FetchFact, HostFact, LegFact, LegTarget, ProviderFact, ReachFact, RouteFact, ToolLoopFact};
use crate::life::kit::{Item, Kit, USAGE, event, events, finish, post_to, says};
use crate::upstreams::remote::rig::{Rig, fact, json as body};

/// Notes what speaks of a patient.
const TRIAGE: &str = r#"return { inspect = function(ctx, event)
  for _, segment in event.segments do
    if string.find(segment.text, "patient", 1, true) then return { note("secret", "yes") } end
  end
end }"#;
/// Asks far away, and answers with what came of it.
const JUDGE: &str = r#"return { inspect = function()
  local said, why = model.ask("far", "is this bad?", 50)
  return { answer(tostring(said) .. "|" .. tostring(why)) }
end }"#;
/// A tool that says what it is told.
const ECHO: &str = r#"return { tools = { { name = "say", description = "d", read_only = true,
  parameters = { type = "object" }, call = function(ctx, arguments) return arguments.text end } } }"#;

fn hears(phase: &str, channel: &str) -> String {
    format!("subscribe:\n  - {{phases: [{phase}], channels: [{channel}]}}")
}

/// A gateway whose route `m` is answered here, and `far` in the cloud. Its chain notes what speaks of a patient, and then asks.
fn kit_of(cloud: &Rig, (phase, channel): (&str, &str)) -> Kit {
    let mut kit = super::routing::kit_of(cloud);
    let far = RouteFact::plain("far", vec![kit.route().legs.remove(0)]);
    kit.facts.routes.insert("far".to_owned(), far);
    kit.facts.rules = vec![rule("has(notes.secret)", None)];
    kit.plugin("echo", "", ECHO);
    kit.route().tools = Some(ToolLoopFact { max_rounds: 3, max_time: std::time::Duration::from_secs(20) });
    kit.plugin("triage", &hears(phase, channel), TRIAGE);
    kit.plugin("judge", &format!("grants: [model, fetch]\n{}", hears(phase, channel)), JUDGE);
    let judge = kit.facts.plugins.get_mut("judge").unwrap();
    judge.operator.grants = vec!["model".to_owned(), "fetch".to_owned()];
    judge.operator.limits = [("wall_ms".to_owned(), 20_000)].into();
    judge.reach = ReachFact { asks: Some(AskFact { routes: vec!["far".to_owned()], max_tokens: 1000 }), fetch: None };
    kit
}

fn asking(text: &str) -> String {
    ASK.replace("hi", text)
}

/// An answer that calls the tool with this text.
fn calls(text: &str) -> Vec<Item> {
    let function = json!({"name": "echo__say", "arguments": json!({"text": text}).to_string()});
    let call = json!({"tool_calls": [{"index": 0, "id": "t0", "type": "function", "function": function}]});
    events(&[&event(&call.to_string()), &finish("tool_calls"), USAGE])
}

#[tokio::test]
async fn a_note_keeps_the_questions_of_all_who_come_after_it_in_every_phase() {
    let phases = [("request", "user"), ("response", "assistant"), ("tool-call", "tool-args"), ("tool-result", "tool-output")];
    for (phase, channel) in phases {
        for (text, said, asked) in [("the patient sleeps", "nil|denied", 0), ("a cat sleeps", "from the cloud|nil", 1)] {
            let cloud = cloud().await;
            let mut kit = kit_of(&cloud, (phase, channel));
            let ask = match phase {
                "request" => asking(text),
                "response" => {
                    kit.script(says(text));
                    ASK.to_owned()
                }
                _ => {
                    kit.script(calls(text));
                    ASK.to_owned()
                }
            };
            let heard = kit.chat(&ask).await;
            assert!(heard.text.contains(said), "{phase}: {}", heard.text);
            assert_eq!((heard.status, cloud.asked()), (200, asked), "{phase}");
        }
    }
}

#[tokio::test]
async fn a_shadow_that_asks_after_a_note_asks_nobody_far_away_either() {
    let cloud = cloud().await;
    let mut kit = kit_of(&cloud, ("request", "user"));
    kit.facts.plugins.get_mut("judge").unwrap().operator.mode = Mode::Shadow;
    kit.script(says("from here"));
    let heard = kit.chat(&asking("the patient sleeps")).await;
    assert!(heard.text.contains("from here") && cloud.asked() == 0, "{}", heard.text);
    let metrics = kit.host().shared.metrics.render();
    assert!(metrics.contains(r#"gatewright_plugin_questions_total{plugin="judge",outcome="denied"} 1"#), "{metrics}");
}

#[tokio::test]
async fn a_rule_that_sends_it_where_nothing_leaves_and_one_that_nobody_can_judge_keep_questions_too() {
    for when in ["has(notes.secret)", "has(notes.secret) && int(notes.secret) > 3"] {
        let cloud = cloud().await;
        let mut kit = kit_of(&cloud, ("request", "user"));
        let private = RouteFact { local_only: true, ..RouteFact::plain("private", kit.route().legs.clone()) };
        kit.facts.routes.insert("private".to_owned(), private);
        kit.facts.rules = vec![rule(when, Some("private"))];
        let heard = kit.chat(&asking("the patient sleeps")).await;
        assert!(heard.text.contains("nil|denied") && cloud.asked() == 0, "{when}: {}", heard.text);
    }
}

#[tokio::test]
async fn the_rules_of_where_a_rule_sends_it_keep_questions_too_and_those_that_lead_round_keep_all() {
    let keeps = || vec![rule("has(notes.secret) && request.model == \"between\"", None)];
    let leads = |to: &str| vec![rule("has(notes.secret)", Some(to))];
    for (of_between, last, asked) in
        [(keeps(), false, 0), (leads("last"), true, 0), (leads("last"), false, 1), (leads("m"), false, 0)]
    {
        let cloud = cloud().await;
        let mut kit = kit_of(&cloud, ("request", "user"));
        let legs = kit.route().legs.clone();
        let mut between = RouteFact::plain("between", legs.clone());
        between.rules = of_between;
        let last = RouteFact { local_only: last, ..RouteFact::plain("last", legs) };
        kit.facts.routes.extend([between, last].map(|route| (route.name.clone(), route)));
        kit.facts.rules.clear();
        kit.route().rules = leads("between");
        kit.chat(&asking("the patient sleeps")).await;
        assert_eq!(cloud.asked(), asked);
    }
}

#[tokio::test]
async fn what_must_not_leave_is_fetched_with_from_the_operators_own_network_alone() {
    let near = Rig::new(vec![vec![body("{}")]]).await;
    let mut kit = kit_of(&near, ("request", "user"));
    let root = near.url.trim_end_matches("/v1");
    let source = format!(
        r#"return {{ inspect = function(ctx, event)
  local got = fetch.send({{ url = "{root}/x" }})
  local far, why = fetch.send({{ url = "http://8.8.8.8:80/x" }})
  return {{ answer(got.status .. "|" .. tostring(far) .. "|" .. tostring(why)) }}
end }}"#
    );
    let manifest = format!("grants: [fetch]\n{}", hears("request", "user"));
    kit.plugin("fetcher", &manifest, &source);
    kit.facts.default_plugins.retain(|plugin| plugin != "judge");
    let hosts = [root, "http://8.8.8.8:80"].map(|host| HostFact::parse(host).unwrap()).into();
    let fetch = FetchFact { hosts, secrets: Vec::new(), max_bytes: 1000, timeout: std::time::Duration::from_secs(20) };
    let plugin = kit.facts.plugins.get_mut("fetcher").unwrap();
    plugin.operator.grants = vec!["fetch".to_owned()];
    plugin.operator.limits = [("wall_ms".to_owned(), 20_000)].into();
    plugin.reach = ReachFact { asks: None, fetch: Some(fetch) };
    let heard = kit.chat(&asking("the patient sleeps")).await;
    assert!(heard.text.contains("200|nil|denied"), "{}", heard.text);
}

#[tokio::test]
async fn texts_to_embed_stay_where_a_note_keeps_them() {
    const EMBEDDED: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"e","usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    let rigs = [Rig::new(vec![vec![body(EMBEDDED)]]).await, Rig::new(vec![vec![body(EMBEDDED)]]).await];
    let asked = || rigs.each_ref().map(Rig::asked);
    let mut kit = Kit::new();
    for ((name, local), rig) in [("cloud", false), ("rack", true)].into_iter().zip(&rigs) {
        let provider = ProviderFact { name: name.to_owned(), local, ..fact(&rig.url) };
        kit.facts.providers.insert(name.to_owned(), provider);
    }
    let legs = ["cloud", "rack"].map(|name| LegFact::new(LegTarget::Provider(name.to_owned()), "e"));
    kit.facts.routes.insert("far".to_owned(), RouteFact::plain("far", vec![legs[0].clone()]));
    kit.route().legs = legs.into();
    kit.facts.rules = vec![rule("has(notes.secret)", None)];
    kit.plugin("triage", &hears("request", "user"), TRIAGE);
    for (model, input, status, expected) in [
        ("m", "a cat", 200, [1, 0]),
        ("m", "the patient sleeps", 200, [1, 1]),
        ("far", "the patient sleeps", 400, [1, 1]),
        ("cloud/any", "the patient sleeps", 400, [1, 1]),
    ] {
        let ask = json!({"model": model, "input": input}).to_string();
        let heard = kit.send(post_to("/v1/embeddings", &ask, &[])).await.whole().await;
        assert_eq!((heard.status, asked()), (status, expected), "{model} {input}: {}", heard.text);
    }
}
