//! Plugins that reach outside: moderation by a server of the operator's, a second model's opinion, an answer that is asked for again.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use gatewright_tests::{Gateway, Mock, Request, read_stream};
use tempfile::TempDir;

/// A server that says `bad` where it is asked about something with `awful` in it, sends `/away` elsewhere, and never answers `/slow`.
struct Moderator {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Moderator {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let ears = Arc::clone(&heard);
        // It ends with the test's process.
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                ears.lock().unwrap().push(head.clone());
                if head.starts_with("GET /slow") {
                    kept.push(stream);
                    continue;
                }
                let answer = if head.starts_with("GET /away") {
                    "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data\r\ncontent-length: 0\r\n"
                } else if head.contains("awful") {
                    "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n"
                } else {
                    "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n"
                };
                let body = if answer.contains(": 3") {
                    "bad"
                } else if answer.contains(": 4") {
                    "good"
                } else {
                    ""
                };
                let _ = write!(stream, "{answer}connection: close\r\n\r\n{body}");
            }
        });
        Self { url, heard }
    }
}

/// A folder with one Luau plugin, `judge`, whose `inspect` is this.
fn judge(subscribe: &str, code: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!("name: judge\nversion: 0.1.0\nentry: plugin.luau\ngrants: [fetch, model]\nsubscribe: {{{subscribe}}}\n");
    std::fs::write(folder.path().join("plugin.yaml"), manifest).unwrap();
    std::fs::write(folder.path().join("plugin.luau"), format!("return {{ inspect = function(ctx, event)\n{code}\nend }}")).unwrap();
    folder
}

fn plugin(folder: &Path, more: &str) -> String {
    format!(
        "plugins:\n  judge:\n    folder: {}\n    grants: [fetch, model]\n    limits: {{wall_ms: 30000}}\n{more}",
        serde_json::json!(folder)
    )
}

const MODERATES: &str = "local got, why = fetch.send({ url = 'URL/check?' .. string.gsub(event.segments[1].text, '%A', '+'),
      headers = { authorization = 'Bearer ${secret:KEY}' } })
    if not got then return { block('unreachable', why) } end
    if got.body == 'bad' then return { block('moderated', 'not here') } end";

#[test]
fn a_plugin_moderates_by_a_server_that_knows_a_secret_which_the_plugin_does_not() {
    let (mock, moderator) = (Mock::playing("rules: []").unwrap(), Moderator::start());
    let folder = judge("phases: [request], channels: [user]", &MODERATES.replace("URL", &moderator.url));
    let fetch = format!("    fetch: {{hosts: ['{}'], secrets: {{KEY: s3cr3t}}}}\n", moderator.url);
    let gateway = Gateway::with(&mock.config(&plugin(folder.path(), &fetch))).unwrap();
    assert_eq!(Request::ask("mock/mock", "something nice").send(&gateway.url).unwrap().status, 200);
    let refused = Request::ask("mock/mock", "something awful").send(&gateway.url).unwrap();
    assert_eq!((refused.status, refused.json()["error"]["message"].as_str()), (400, Some("not here")));
    let heard = moderator.heard.lock().unwrap();
    assert!(heard.iter().all(|head| head.to_lowercase().contains("authorization: bearer s3cr3t")), "{heard:?}");
    assert_eq!(mock.count().unwrap(), 1);
    assert!(!gateway.log().contains("s3cr3t"));
}

#[test]
fn nothing_is_fetched_from_where_the_operator_does_not_say() {
    let (mock, moderator) = (Mock::playing("rules: []").unwrap(), Moderator::start());
    let code = "local said = {}
        for _, url in { 'URL/away', 'http://127.0.0.1:1/', 'http://169.254.169.254/', 'https://10.0.0.1/', 'https://example.com/' } do
          local _, why = fetch.send({ url = url })
          table.insert(said, tostring(why))
        end
        return { answer(table.concat(said, ' ')) }";
    let folder = judge("phases: [request], channels: [user]", &code.replace("URL", &moderator.url));
    let fetch = format!("    fetch: {{hosts: ['{}']}}\n", moderator.url);
    let gateway = Gateway::with(&mock.config(&plugin(folder.path(), &fetch))).unwrap();
    let answer = Request::ask("mock/mock", "hi").send(&gateway.url).unwrap();
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "denied denied denied denied denied", "{}", answer.body);
}

#[test]
fn a_plugin_that_waits_for_too_long_fails_and_the_next_request_does_not_wait() {
    let (mock, moderator) = (Mock::playing("rules: []").unwrap(), Moderator::start());
    let code = "if event.segments[1].text == 'slow' then fetch.send({ url = 'URL/slow' }) end";
    let folder = judge("phases: [request], channels: [user]", &code.replace("URL", &moderator.url));
    let fetch = format!("    fetch: {{hosts: ['{}'], timeout: 1h}}\n", moderator.url);
    let config = mock.config(&plugin(folder.path(), &fetch)).replace("wall_ms: 30000", "wall_ms: 300");
    let gateway = Gateway::with(&config).unwrap();
    let failed = Request::ask("mock/mock", "slow").send(&gateway.url).unwrap();
    assert_eq!((failed.status, failed.json()["error"]["code"].as_str()), (500, Some("plugin_failed")), "{}", failed.body);
    assert_eq!(Request::ask("mock/mock", "quick").send(&gateway.url).unwrap().status, 200);
    let metrics = Request::get("/metrics").send(&gateway.admin).unwrap().body;
    assert!(metrics.contains(r#"gatewright_plugin_trips_total{plugin="judge",limit="wall"} 1"#), "{metrics}");
}

const OPINIONS: &str = r#"
rules:
  - when: {model: a}
    then: {text: ["You ", "fool."]}
  - when: {model: b}
    then: {text: ["Good", " day."]}
  - when: {model: c}
    then: {text: ["NO"]}
"#;

/// It asks a model what to think of the answer, and has the answer asked for again where the model does not like it.
#[test]
fn a_second_model_judges_an_answer_and_the_first_is_asked_again() {
    let code = "local verdict, why = model.ask('second', 'is this fine: ' .. event.segments[1].text, 100)
        if not verdict then return { block('no-opinion', why) } end
        if string.find(event.segments[1].text, 'fool') and verdict == 'NO' then return { reask('polite', 'stay polite') } end";
    let mock = Mock::playing(OPINIONS).unwrap();
    let folder = judge("phases: [response], channels: [assistant]", code);
    let routes = "routes:\n  first: {legs: [mock/a]}\n  polite: {legs: [mock/b]}\n  second: {legs: [mock/c]}\n";
    let config = mock.config(&format!("{routes}{}", plugin(folder.path(), "    model: {routes: [second]}\n")));
    let gateway = Gateway::with(&config).unwrap();
    let whole = Request::ask("first", "hello").send(&gateway.url).unwrap();
    assert_eq!(whole.json()["choices"][0]["message"]["content"], "Good day.", "{}", whole.body);
    let streamed = Request::stream("first", "hello").send(&gateway.url).unwrap();
    assert!(!streamed.body.contains("fool"), "{}", streamed.body);
    let answer = read_stream(&streamed.body).unwrap();
    assert_eq!((answer.text.as_str(), answer.done), ("Good day.", true));
    // Each time: the first answer, an opinion, the second answer, an opinion.
    assert_eq!(mock.count().unwrap(), 8);
    assert!(mock.seen().unwrap().to_string().contains("stay polite"));
    let metrics = Request::get("/metrics").send(&gateway.admin).unwrap().body;
    for line in [
        r#"gatewright_plugin_actions_total{plugin="judge",did="reask"} 2"#,
        r#"gatewright_plugin_questions_total{plugin="judge",outcome="ok"} 4"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
