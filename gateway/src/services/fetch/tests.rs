//! Fetches from servers of this machine, and names that lead where a guest may not go.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;

use super::*;
use crate::config::facts::{HostFact, Secret};
use crate::upstreams::remote::rig::{Rig, Step, response};

/// Names and where they lead.
struct Names(BTreeMap<&'static str, Vec<IpAddr>>);

#[async_trait::async_trait]
impl Resolve for Names {
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.0.get(host).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The names that were looked up: nobody is there.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Resolve for Heard {
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.0.lock().unwrap().push(host.to_owned());
        Err(io::ErrorKind::NotFound.into())
    }
}

fn fact(hosts: &[&str]) -> FetchFact {
    FetchFact {
        hosts: hosts.iter().map(|host| HostFact::parse(host).unwrap()).collect(),
        secrets: vec![("TOKEN".to_owned(), Secret::new("s3cr3t"))],
        max_bytes: 100,
        timeout: Duration::from_secs(20),
    }
}

fn get(url: &str) -> FetchRequest {
    let headers = vec![("authorization".to_owned(), "Bearer ${secret:TOKEN}".to_owned())];
    FetchRequest { method: "GET".to_owned(), url: url.to_owned(), headers, body: Vec::new() }
}

/// The root of a rig, `http://127.0.0.1:PORT`.
fn root(rig: &Rig) -> String {
    rig.url.trim_end_matches("/v1").to_owned()
}

fn redirect(to: &str) -> Vec<Step> {
    vec![response("302 Found", &[("location", to)], "")]
}

#[tokio::test]
async fn an_answer_comes_with_its_status_headers_and_body() {
    let rig = Rig::new(vec![vec![response("418 Teapot", &[("x-kind", "pot")], "short and stout")]]).await;
    let fetcher = Fetcher::new(&fact(&[&root(&rig)])).unwrap();
    for _ in 0..2 {
        let got = fetcher.send(get(&format!("{}/pot?a=b", root(&rig))), Range::Anywhere).await.unwrap();
        assert_eq!((got.status, got.body.as_slice()), (418, &b"short and stout"[..]));
        assert!(got.headers.contains(&("x-kind".to_owned(), "pot".to_owned())));
    }
    let asked = rig.requests.lock().unwrap()[0].to_lowercase();
    assert!(asked.starts_with("get /pot?a=b http/1.1\r\n") && asked.contains("authorization: bearer s3cr3t\r\n"), "{asked}");
    assert_eq!(*rig.connections.lock().unwrap(), 1, "a connection serves again");
}

#[tokio::test]
async fn an_answer_is_bounded_in_bytes_redirects_and_time() {
    let long = "x".repeat(101);
    let endless = redirect("/again");
    for (script, why) in [
        (vec![response("200 OK", &[], &long)], "more than 100 bytes"),
        (endless, "3 redirects"),
        (vec![Step::Wait(Duration::from_secs(60))], "no answer within 300ms"),
    ] {
        let slow = matches!(script[0], Step::Wait(_));
        let rig = Rig::new(vec![script]).await;
        let timeout = if slow { Duration::from_millis(300) } else { Duration::from_secs(20) };
        let fetcher = Fetcher::new(&FetchFact { timeout, ..fact(&[&root(&rig)]) }).unwrap();
        match fetcher.send(get(&root(&rig)), Range::Anywhere).await {
            Err(ServiceError::Limit(told)) => assert!(told.contains(why), "{told}"),
            other => panic!("{why}: {other:?}"),
        }
        assert!(rig.asked() <= 1 + MOST_REDIRECTS);
    }
}

#[tokio::test]
async fn redirects_lead_to_hosts_of_the_list_alone_and_secrets_do_not_go_along() {
    let outside = Rig::new(vec![vec![response("200 OK", &[], "inside")]]).await;
    let listed = Rig::new(vec![vec![response("200 OK", &[], "there")]]).await;
    let rig = Rig::new(vec![redirect(&root(&outside)), redirect(&root(&listed)), redirect("http://169.254.169.254/latest")]).await;
    let fetcher = Fetcher::new(&fact(&[&root(&rig), &root(&listed)])).unwrap();
    assert_eq!(fetcher.send(get(&root(&rig)), Range::Anywhere).await, Err(ServiceError::Denied));
    assert_eq!(outside.asked(), 0);
    assert_eq!(fetcher.send(get(&root(&rig)), Range::Anywhere).await.unwrap().body, b"there");
    assert!(!listed.requests.lock().unwrap()[0].contains("s3cr3t"));
    assert_eq!(fetcher.send(get(&root(&rig)), Range::Anywhere).await, Err(ServiceError::Denied));
}

#[tokio::test]
async fn a_name_is_only_worth_where_it_leads() {
    let rig = Rig::new(vec![vec![response("200 OK", &[], "inside")]]).await;
    let port = root(&rig).rsplit(':').next().unwrap().to_owned();
    let at = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    let names = || {
        Arc::new(Names(BTreeMap::from([
            ("rebound.example", at(&["127.0.0.1"])),
            ("mapped.example", at(&["::ffff:127.0.0.1", "::1", "0.0.0.0", "10.0.0.1", "169.254.169.254"])),
            ("meta.example", at(&["169.254.169.254"])),
            ("far.example", at(&["8.8.8.8"])),
        ])))
    };
    let url = |name: &str| get(&format!("http://{name}:{port}/"));
    let entries = ["rebound.example", "mapped.example", "meta.example", "gone.example", "far.example"]
        .map(|name| format!("http://{name}:{port}"));
    let public = fact(&entries.each_ref().map(String::as_str));
    let fetcher = Fetcher::with(&public, names()).unwrap();
    for name in ["rebound.example", "mapped.example", "meta.example"] {
        assert_eq!(fetcher.send(url(name), Range::Anywhere).await, Err(ServiceError::Denied), "{name}");
    }
    assert!(matches!(fetcher.send(url("gone.example"), Range::Anywhere).await, Err(ServiceError::Failed(_))));
    assert_eq!((rig.asked(), *rig.connections.lock().unwrap()), (0, 0));

    let inside = public.hosts.iter().cloned().map(|host| HostFact { private: true, ..host }).collect();
    let fetcher = Fetcher::with(&FetchFact { hosts: inside, ..public }, names()).unwrap();
    assert_eq!(fetcher.send(url("rebound.example"), Range::Anywhere).await.unwrap().body, b"inside");
    assert_eq!(fetcher.send(url("meta.example"), Range::Anywhere).await, Err(ServiceError::Denied), "not even inside");

    // What must not leave goes to the operator's own network alone, and not where a name of it leads out of there.
    assert_eq!(fetcher.send(url("rebound.example"), Range::Inside).await.unwrap().body, b"inside");
    for name in ["far.example", "meta.example"] {
        assert_eq!(fetcher.send(url(name), Range::Inside).await, Err(ServiceError::Denied), "{name}");
    }
    let fetcher = Fetcher::with(&fact(&["http://8.8.8.8:80"]), names()).unwrap();
    assert_eq!(fetcher.send(get("http://8.8.8.8:80/"), Range::Inside).await, Err(ServiceError::Denied));
}

#[tokio::test]
async fn a_name_that_may_say_what_must_not_leave_is_not_looked_up() {
    let names = Arc::new(Heard::default());
    let mut fact = fact(&["https://*.example.org", "https://wiki.corp.example"]);
    fact.hosts[1].private = true;
    let fetcher = Fetcher::with(&fact, Arc::clone(&names) as Arc<dyn Resolve>).unwrap();
    assert_eq!(fetcher.send(get("https://68656c6c6f.example.org/"), Range::Inside).await, Err(ServiceError::Denied));
    assert!(names.0.lock().unwrap().is_empty());
    for (url, range) in [("https://wiki.corp.example/", Range::Inside), ("https://x.example.org/", Range::Anywhere)] {
        assert!(matches!(fetcher.send(get(url), range).await, Err(ServiceError::Failed(_))), "{url}");
    }
    assert_eq!(*names.0.lock().unwrap(), ["wiki.corp.example", "x.example.org"]);
}

#[tokio::test]
async fn what_went_wrong_is_told_without_where_it_led() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let broken = Rig::new(vec![vec![Step::Close]]).await;
    let fetcher = Fetcher::new(&fact(&[&closed, &root(&broken)])).unwrap();
    for url in [&closed, &root(&broken)] {
        let told = fetcher.send(get(url), Range::Anywhere).await.unwrap_err().to_string();
        assert!(told.starts_with("failed: the ") && !told.contains("127.0.0.1") && !told.contains("s3cr3t"), "{told}");
    }
}
