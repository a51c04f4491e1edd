//! Tests of a port at its bounds: connections, slow heads, slow readers, drain. A plain router stands in for the gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

mod h2;

use super::door::{self, Door, Seats};
use super::pace::Times;
use crate::http::health::{self, Stage};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

struct Port {
    address: std::net::SocketAddr,
    dropped: Dropped,
    stage: watch::Sender<Stage>,
    seats: Seats,
    refused: Counter,
    open: Gauge,
    accepting: JoinHandle<()>,
}

async fn port(connections: usize, header_time: Duration) -> Port {
    port_of(door(connections, header_time)).await
}

/// The same, with other times.
async fn port_with(times: Times) -> Port {
    let (door, dropped, stage) = door(4, times.header);
    port_of((Door { times, ..door }, dropped, stage)).await
}

async fn port_of((door, dropped, stage): (Door, Dropped, watch::Sender<Stage>)) -> Port {
    let (open, refused) = (door.open.clone(), door.refused.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seats, accepting) = door::open(door, listener);
    Port { address, dropped, stage, seats, refused, open, accepting: tokio::spawn(accepting) }
}

fn door(connections: usize, header_time: Duration) -> (Door, Dropped, watch::Sender<Stage>) {
    let stage = watch::Sender::new(Stage::Serving);
    let slow = |millis| async move {
        let pieces = futures_util::stream::iter(0..5).then(move |n| async move {
            sleep(Duration::from_millis(millis)).await;
            Ok::<_, std::convert::Infallible>(Bytes::from(format!("piece {n}\n")))
        });
        Body::from_stream(pieces)
    };
    let dropped = Dropped::default();
    let counted = Arc::clone(&dropped);
    let router = Router::new()
        .route("/quick", get(|| async { "quick" }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/slow", get(move || slow(60)))
        .route("/refuse", post(|| async { http::StatusCode::PAYLOAD_TOO_LARGE }))
        .route("/endless", get(move || std::future::ready(endless(&counted))))
        .merge(health::routes(stage.subscribe()));
    let door = Door {
        router,
        gate: Arc::new(|_| Ok(())),
        connections,
        times: Times { header: header_time, write: LONG, idle: LONG },
        stage: stage.subscribe(),
        open: Gauge::default(),
        refused: Counter::default(),
    };
    (door, dropped, stage)
}

/// Endless answers that were dropped.
type Dropped = Arc<AtomicUsize>;

struct Endless(Dropped);

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A body without end.
fn endless(dropped: &Dropped) -> Body {
    let answer = Endless(Arc::clone(dropped));
    Body::from_stream(futures_util::stream::repeat_with(move || {
        let _ = &answer;
        Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 16 << 10]))
    }))
}

/// Waits until an endless answer was dropped.
async fn is_dropped(port: &Port) {
    let one = async {
        while port.dropped.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), one).await.expect("the answer goes on");
}

/// Sends text on a new connection.
async fn sent(port: &Port, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// All that comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut text)).await.unwrap().unwrap();
    String::from_utf8(text).unwrap()
}

/// What comes next.
async fn some(stream: &mut TcpStream) -> String {
    let mut text = [0; 4096];
    let n = timeout(Duration::from_secs(5), stream.read(&mut text)).await.unwrap().unwrap();
    String::from_utf8_lossy(&text[..n]).into_owned()
}

const QUICK: &str = "GET /quick HTTP/1.1\r\nhost: localhost\r\n\r\n";
const SLOW: &str = "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let port = port(4, Duration::from_secs(5)).await;
    let mut stream = sent(&port, QUICK).await;
    for _ in 0..3 {
        assert!(some(&mut stream).await.ends_with("quick"));
        stream.write_all(QUICK.as_bytes()).await.unwrap();
    }
    assert_eq!(port.open.get(), 1);
}

#[tokio::test]
async fn one_connection_too_many_is_refused_in_the_dialects_envelope() {
    let port = port(1, Duration::from_secs(5)).await;
    let mut first = sent(&port, QUICK).await;
    assert!(some(&mut first).await.ends_with("quick"));
    let mut second = sent(&port, QUICK).await;
    let told = rest(&mut second).await;
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("retry-after: 1\r\n"), "{told}");
    let body: serde_json::Value = serde_json::from_str(told.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert!(body["error"]["message"].is_string());
    assert_eq!(port.refused.get(), 1);
    drop(first);
    sleep(Duration::from_millis(50)).await;
    assert!(some(&mut sent(&port, QUICK).await).await.ends_with("quick"), "a free seat is taken again");
}

#[tokio::test]
async fn a_head_that_does_not_come_is_told_so() {
    let port = port(4, Duration::from_millis(150)).await;
    for (sent_before, begun) in [("", "GET /quick HTTP/1.1\r\nhost: loc"), (QUICK, "GET /qui")] {
        let mut stream = sent(&port, sent_before).await;
        if !sent_before.is_empty() {
            assert!(some(&mut stream).await.ends_with("quick"));
        }
        stream.write_all(begun.as_bytes()).await.unwrap();
        let told = rest(&mut stream).await;
        assert!(told.starts_with("HTTP/1.1 408 ") && told.contains("\"error\""), "{told}");
    }
    assert_eq!(rest(&mut sent(&port, "").await).await, "", "who says nothing is told nothing");
}

#[tokio::test]
async fn idle_connections_and_slow_answers_are_not_slow_heads() {
    let port = port(4, Duration::from_millis(100)).await;
    let mut stream = sent(&port, QUICK).await;
    assert!(some(&mut stream).await.ends_with("quick"));
    sleep(Duration::from_millis(350)).await;
    stream.write_all(SLOW.replacen("host", "connection: close\r\nhost", 1).as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.contains("piece 4"));
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let port = port_with(Times { header: LONG, write: Duration::from_millis(200), idle: LONG }).await;
    let stream = sent(&port, &QUICK.replacen("quick", "endless", 1)).await;
    is_dropped(&port).await;
    timeout(Duration::from_secs(30), port.seats.all_free()).await.expect("the connection is held");
    drop(stream);
}

#[tokio::test]
async fn a_client_that_takes_its_answer_is_not_cut_off() {
    let port = port_with(Times { header: LONG, write: Duration::from_secs(5), idle: LONG }).await;
    let mut stream = sent(&port, &QUICK.replacen("quick", "endless", 1)).await;
    let mut left = 32 << 20;
    let mut piece = vec![0; 1 << 20];
    while left > 0 {
        let n = timeout(Duration::from_secs(5), stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(n > 0);
        left -= n.min(left);
    }
    assert_eq!(port.dropped.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_sends_all_before_it_reads() {
    let port = port(4, LONG).await;
    let body = 8 << 20;
    let mut stream = sent(&port, &format!("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: {body}\r\n\r\n")).await;
    stream.write_all(&vec![b'x'; body]).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_drain_lets_streams_finish_and_takes_nothing_new() {
    let port = port(4, Duration::from_secs(5)).await;
    let mut idle = sent(&port, QUICK).await;
    assert!(some(&mut idle).await.ends_with("quick"));
    let mut stream = sent(&port, SLOW).await;
    assert!(some(&mut stream).await.contains("200 OK"));
    port.stage.send_replace(Stage::Draining);
    assert!(rest(&mut stream).await.contains("piece 4"), "what was begun is finished");
    assert_eq!(rest(&mut idle).await, "", "what was idle is closed");
    timeout(Duration::from_secs(2), port.seats.all_free()).await.unwrap();
    timeout(Duration::from_secs(2), port.accepting).await.unwrap().unwrap();
    assert!(TcpStream::connect(port.address).await.is_err());
}

#[tokio::test]
async fn a_cut_ends_what_is_left() {
    let port = port(4, Duration::from_secs(5)).await;
    let mut stream = sent(&port, SLOW).await;
    assert!(some(&mut stream).await.contains("200 OK"));
    port.stage.send_replace(Stage::Cut);
    timeout(Duration::from_secs(2), port.seats.all_free()).await.unwrap();
    let mut text = Vec::new();
    // Cut, not ended: the last chunk never comes.
    let _ = stream.read_to_end(&mut text).await;
    assert!(!String::from_utf8_lossy(&text).contains("\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn readiness_follows_the_stage() {
    let port = port(4, Duration::from_secs(5)).await;
    let ask = "GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert!(some(&mut sent(&port, ask).await).await.starts_with("HTTP/1.1 200"));
    let mut early = sent(&port, SLOW).await;
    assert!(some(&mut early).await.contains("200 OK"));
}

#[tokio::test]
async fn garbage_is_answered_and_harms_nobody() {
    let port = port(4, Duration::from_secs(5)).await;
    let large = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(600 << 10));
    for garbage in ["\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", &large] {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        // It may be closed while it is being sent.
        let _ = stream.write_all(garbage.as_bytes()).await;
        let mut told = Vec::new();
        let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut told)).await.unwrap();
        assert!(!told.starts_with(b"HTTP/1.1 200"));
    }
    assert!(some(&mut sent(&port, QUICK).await).await.ends_with("quick"));
}

#[tokio::test]
async fn a_port_in_use_names_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let told = door::bind(taken.local_addr().unwrap(), "--listen").await.unwrap_err();
    assert!(told.contains("in use") && told.contains("--listen"), "{told}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_connection_does_not_wait_for_full_packets() {
    use std::os::fd::AsFd as _;
    let (door, _, _stage) = door(1, Duration::from_secs(5));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let same = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned().unwrap());
    assert!(!same.nodelay().unwrap(), "the system's default");
    let seat = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
    tokio::spawn(door::hold(Arc::new(door), stream, seat));
    client.write_all(b"GET /quick HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(some(&mut client).await.ends_with("quick"));
    assert!(same.nodelay().unwrap());
}
