//! A small HTTP/1.1 client over a plain socket: it shows a test what is on the wire, and can hang up in the middle.
//!
//! Apart from any client library on purpose: those hide faults that a test must see. Real client libraries have tests
//! of their own. It must not know what a right answer is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::child::Broken;

/// Longest silence that a test waits through.
const SILENCE: Duration = Duration::from_secs(60);

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A response, whole.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, chunks joined.
    pub body: String,
    /// Whether the body ended as its framing promised (last chunk, or all of its length).
    pub complete: bool,
}

/// A response of which the body is still coming.
pub struct Live {
    reader: BufReader<TcpStream>,
    /// Status and headers; the body is empty.
    pub head: Response,
}

impl Request {
    /// A request without body.
    pub fn get(path: &str) -> Self {
        Self { method: "GET".into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A request with these bytes, said to be JSON.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".into(), "application/json".into())];
        Self { method: "POST".into(), path: path.into(), headers, body: body.into() }
    }

    /// A chat completion of one user message.
    pub fn ask(model: &str, question: &str) -> Self {
        Self::chat(&json!({"model": model, "messages": [{"role": "user", "content": question}]}))
    }

    /// The same, streamed.
    pub fn stream(model: &str, question: &str) -> Self {
        Self::chat(&json!({"model": model, "stream": true, "messages": [{"role": "user", "content": question}]}))
    }

    /// A chat completion.
    pub fn chat(body: &Value) -> Self {
        Self::post("/v1/chat/completions", body.to_string())
    }

    /// The same request with one more header; it replaces one of that name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same request with another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Sends it to `http://HOST:PORT` and reads the whole response.
    ///
    /// # Errors
    /// When the socket fails or what comes is not HTTP.
    pub fn send(&self, url: &str) -> Result<Response, Broken> {
        self.open(url)?.rest()
    }

    /// Sends it and reads the head of the response.
    ///
    /// # Errors
    /// As [`Request::send`].
    pub fn open(&self, url: &str) -> Result<Live, Broken> {
        let host = url.strip_prefix("http://").ok_or("not http")?;
        let mut socket = TcpStream::connect(host)?;
        socket.set_read_timeout(Some(SILENCE))?;
        let mut head =
            format!("{} {} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", self.method, self.path, self.body.len());
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("host: {host}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        socket.write_all(head.as_bytes())?;
        // A server that refuses a body early may close before it has read it all: what it answered still counts.
        drop(socket.write_all(&self.body));
        Live::read(socket)
    }
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Live {
    fn read(socket: TcpStream) -> Result<Self, Broken> {
        let mut reader = BufReader::new(socket);
        let mut head = Response::default();
        let first = line(&mut reader)?;
        head.status = first.split(' ').nth(1).ok_or("no status")?.parse()?;
        loop {
            let text = line(&mut reader)?;
            let Some((name, value)) = text.split_once(':') else { break };
            head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { reader, head })
    }

    /// Reads the body until this text has come, and gives what came so far. Dropping the rest hangs up.
    ///
    /// # Errors
    /// When the body ends before.
    pub fn until(&mut self, text: &str) -> Result<String, Broken> {
        let mut body = Vec::new();
        while !String::from_utf8_lossy(&body).contains(text) {
            let piece = chunk(&mut self.reader)?.ok_or_else(|| format!("ended without `{text}`"))?;
            body.extend(piece);
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// When the socket fails. A body that ends early is no error: see [`Response::complete`].
    pub fn rest(mut self) -> Result<Response, Broken> {
        let mut body = Vec::new();
        if self.head.header("transfer-encoding") == Some("chunked") {
            loop {
                match chunk(&mut self.reader) {
                    Ok(Some(piece)) => body.extend(piece),
                    Ok(None) => break self.head.complete = true,
                    Err(_) => break,
                }
            }
        } else {
            self.reader.read_to_end(&mut body)?;
            let length = self.head.header("content-length").and_then(|l| l.parse().ok());
            self.head.complete = length.is_none_or(|l: usize| l == body.len());
        }
        self.head.body = String::from_utf8_lossy(&body).into_owned();
        Ok(self.head)
    }
}

fn line(reader: &mut impl BufRead) -> Result<String, Broken> {
    let mut text = String::new();
    if reader.read_line(&mut text)? == 0 {
        return Err("the connection was closed".into());
    }
    Ok(text.trim_end().to_owned())
}

/// One chunk; `None` is the last one.
fn chunk(reader: &mut impl BufRead) -> Result<Option<Vec<u8>>, Broken> {
    let size = usize::from_str_radix(line(reader)?.split(';').next().unwrap_or_default(), 16)?;
    let mut piece = vec![0; size];
    reader.read_exact(&mut piece)?;
    line(reader)?;
    Ok((size > 0).then_some(piece))
}
