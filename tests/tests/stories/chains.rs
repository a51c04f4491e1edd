//! What an operator sets up around plugins: chains, shares of the requests, rules on notes, and what the log says of them.

use gatewright_tests::{Gateway, Mock, Request, Setup, wait_until};

/// A key of the form that OpenAI gives out; made up here.
const KEY: &str = "sk-proj-Zx81QwErTyUiOp1234567890AbCdEf";

#[test]
fn a_conversation_keeps_its_lot_over_a_restart_and_the_log_tells_what_plugins_did() {
    let mock = Mock::playing("rules: []").unwrap();
    let setup = Setup { config: Some(mock.config("plugins:\n  secrets: {percent: 50}\n")), ..Setup::default() };
    let mut gateway = Gateway::start(&setup).unwrap();
    let lots = |gateway: &Gateway| -> Vec<bool> {
        let lot = |n: usize| {
            let ask = Request::ask("mock/mock", &format!("keep {KEY}")).header("x-gatewright-conversation", &format!("c{n}"));
            let response = ask.send(&gateway.url).unwrap();
            let told = response.header("x-gatewright-plugins").unwrap_or_default().to_owned();
            let (inside, outside) = (told.contains("secrets=edit:user"), told.contains("secrets=roll-out"));
            assert!(response.status == 200 && inside != outside, "{told}");
            assert_eq!(response.body.contains(KEY), outside);
            assert_eq!(response.header("x-gatewright-plugin-versions").is_some(), inside);
            inside
        };
        (0..24).map(lot).collect()
    };
    let before = lots(&gateway);
    assert!(before.contains(&true) && before.contains(&false), "{before:?}");
    wait_until("the log tells of the plugins", || gateway.log().contains("secrets=edit:user")).unwrap();
    let log = gateway.log();
    assert!(log.contains("gatewright::plugins") && log.contains(" calls:") && !log.contains("Zx81QwEr"), "{log}");
    gateway.signal("TERM").unwrap();
    gateway.ended().unwrap();
    gateway.restart(&setup).unwrap();
    assert_eq!(lots(&gateway), before);
}

#[test]
fn a_global_plugin_holds_on_a_route_with_no_plugins_and_a_note_keeps_a_request_here() {
    let (near, far) = (Mock::playing("rules: []").unwrap(), Mock::playing("rules: []").unwrap());
    let rest = format!(
        "  near:\n    base_url: {}/v1\n    local: true\nplugins:\n  secrets: {{}}\n  triage: {{folder: triage}}\n\
        global_plugins: [secrets, triage]\nroutes:\n  bare: {{legs: [mock/m, near/m], plugins: []}}\n  away: {{legs: [mock/m]}}\n\
        rules:\n  - {{when: '\"local-only\" in notes && notes[\"local-only\"] == \"true\"', local_only: true}}\n",
        near.url
    );
    // The folder of a gateway is made when it starts: it takes the plugin over with the configuration that names it.
    let gateway = Gateway::with(&far.config("")).unwrap();
    let folder = gateway.folder().join("triage");
    std::fs::create_dir(&folder).unwrap();
    let manifest = "name: triage\nversion: 0.1.0\nentry: main.luau\nsubscribe: {phases: [request], channels: [user]}\n";
    std::fs::write(folder.join("plugin.yaml"), manifest).unwrap();
    let code = "return { inspect = function(_, event)
        if string.find(event.segments[1].text, 'patient', 1, true) then return { note('local-only', 'true') } end
    end }";
    std::fs::write(folder.join("main.luau"), code).unwrap();
    std::fs::write(gateway.folder().join("gatewright.yaml"), far.config(&rest)).unwrap();
    let ask = |model: &str, text: &str| Request::ask(model, text).send(&gateway.url).unwrap();
    wait_until("the new file is in force", || ask("bare", "hello").status == 200).unwrap();
    let leg = |response: &gatewright_tests::Response| response.header("x-gatewright-leg").unwrap_or_default().to_owned();
    let plain = ask("bare", &format!("keep {KEY}"));
    assert!(leg(&plain) == "mock/m" && !plain.body.contains(KEY), "{:?} {}", plain.headers, plain.body);
    let kept = ask("bare", "the patient sleeps");
    assert_eq!((kept.status, leg(&kept)), (200, "near/m".to_owned()));
    let refused = ask("away", "the patient sleeps");
    assert!(refused.status == 400 && refused.body.contains("must not leave"), "{}", refused.body);
    let seen = far.seen().unwrap().to_string();
    assert!(!seen.contains("patient") && near.count().unwrap() == 1, "{seen}");
}
