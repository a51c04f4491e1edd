//! The same port over HTTP/2, with prior knowledge: by a real client, and by bare frames where one misbehaves.

use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;
use crate::http::guard;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SHORT: Duration = Duration::from_millis(150);
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame((kind, flags, stream): (u8, u8, u8), payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

/// Settings with a window of no bytes: no answer's body may be sent.
fn closed_window() -> Vec<u8> {
    frame((SETTINGS, 0, 0), &[0, 4, 0, 0, 0, 0])
}

/// The head of a GET.
fn head(flags: u8, path: &str) -> Vec<u8> {
    let mut fields = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    fields.extend_from_slice(path.as_bytes());
    fields.extend_from_slice(b"\x41\x09localhost");
    frame((HEADERS, flags, 1), &fields)
}

/// A connection that has sent these bytes and says no more; what comes is read until the other side closes.
async fn said(port: &Port, bytes: &[&[u8]]) -> JoinHandle<()> {
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(&bytes.concat()).await.unwrap();
    tokio::spawn(async move {
        let mut scrap = [0; 4096];
        while stream.read(&mut scrap).await.is_ok_and(|bytes| bytes > 0) {}
    })
}

async fn is_closed(port: &Port, connection: JoinHandle<()>) {
    timeout(Duration::from_secs(30), connection).await.expect("the connection is held").unwrap();
    timeout(Duration::from_secs(30), port.seats.all_free()).await.expect("the seat is held");
}

/// Asks as a client of HTTP/2 does; the connection is kept by the second that is returned, and tells its end.
async fn ask(port: &Port, uri: &str) -> (Response<String>, JoinHandle<()>) {
    let stream = TcpStream::connect(port.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let kept = tokio::spawn(async move { drop(connection.await) });
    let response = sender.send_request(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    // As long as one that asks is there, the client does not close by itself.
    let kept = tokio::spawn(async move {
        drop(kept.await);
        drop(sender);
    });
    (Response::from_parts(head, text), kept)
}

#[tokio::test]
async fn requests_are_answered_and_an_idle_connection_is_closed() {
    let port = port_with(Times { header: LONG, write: LONG, idle: SHORT }).await;
    let (quick, kept) = ask(&port, "http://localhost/quick").await;
    assert_eq!((quick.status(), quick.body().as_str()), (StatusCode::OK, "quick"));
    is_closed(&port, kept).await;
}

#[tokio::test]
async fn the_guard_looks_at_the_authority_too() {
    let (door, dropped, stage) = door(4, LONG);
    let gate: door::Gate = Arc::new(|request| {
        guard::check(request, &[])
            .map_err(|foreign| Box::new(Response::builder().status(403).body(Body::from(foreign.to_string())).unwrap()))
    });
    let port = port_of((Door { gate, ..door }, dropped, stage)).await;
    for (uri, status) in [("http://localhost:4000/quick", 200), ("http://evil.example/quick", 403)] {
        assert_eq!(ask(&port, uri).await.0.status(), status, "{uri}");
    }
}

#[tokio::test]
async fn a_handshake_or_a_head_that_does_not_come_to_an_end_is_not_waited_for() {
    let port = port_with(Times { header: SHORT, write: LONG, idle: LONG }).await;
    let settings = frame((SETTINGS, 0, 0), &[]);
    for bytes in [&[&PREFACE[..3]][..], &[PREFACE], &[PREFACE, &settings], &[PREFACE, &settings, &head(END, "/quick")]] {
        let silent = said(&port, bytes).await;
        is_closed(&port, silent).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_when_it_is_asked_to_close_is_cut_off() {
    let port = port_with(Times { header: SHORT, write: LONG, idle: SHORT }).await;
    let silent = said(&port, &[PREFACE, &frame((SETTINGS, 0, 0), &[]), &head(END | END_HEADERS, "/quick")]).await;
    is_closed(&port, silent).await;
}

#[tokio::test]
async fn an_answer_that_its_window_holds_back_is_given_up() {
    let port = port_with(Times { header: LONG, write: Duration::from_millis(300), idle: LONG }).await;
    let reading = said(&port, &[PREFACE, &closed_window(), &head(END | END_HEADERS, "/endless")]).await;
    is_dropped(&port).await;
    assert_eq!(port.open.get(), 1, "other answers of the connection go on");
    reading.abort();
}
