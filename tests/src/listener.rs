//! A small HTTP server in the test's own process, for stand-ins of others' services: one answer a connection.
//!
//! Apart because more than one service is played. It must not know which.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::child::Broken;

/// What is asked.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in small letters.
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// A header's value; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Status, headers, body.
pub(crate) type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// How much of an answer is sent: all of it, or so many bytes of the body before the connection is cut.
pub(crate) type Sent = Option<usize>;

/// A running server. Dropping it ends it.
pub(crate) struct Listener {
    pub(crate) address: String,
    stopped: Arc<AtomicBool>,
}

impl Listener {
    /// Starts one. The handler is told the server's own address.
    pub(crate) fn start(handle: impl Fn(&Asked, &str) -> (Answer, Sent) + Send + Sync + 'static) -> Result<Self, Broken> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let stopped = Arc::new(AtomicBool::new(false));
        let (handle, its_address, its_end) = (Arc::new(handle), address.clone(), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if its_end.load(Ordering::SeqCst) {
                    return;
                }
                let (handle, address) = (Arc::clone(&handle), its_address.clone());
                std::thread::spawn(move || drop(serve(stream, |asked| handle(asked, &address))));
            }
        });
        Ok(Self { address, stopped })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // So that it looks.
        drop(TcpStream::connect(&self.address));
    }
}

fn serve(stream: TcpStream, handle: impl Fn(&Asked) -> (Answer, Sent)) -> Result<(), Broken> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let asked = read(&mut reader)?;
    let ((status, headers, body), sent) = handle(&asked);
    let mut head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = stream;
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if asked.method != "HEAD" {
        stream.write_all(&body[..sent.unwrap_or(body.len()).min(body.len())])?;
    }
    Ok(stream.flush()?)
}

fn read(reader: &mut impl BufRead) -> Result<Asked, Broken> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().ok_or("no path")?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut asked = Asked { method, path: path.into(), query: query.into(), headers: BTreeMap::new(), body: Vec::new() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = asked.header("content-length").parse().unwrap_or(0);
    reader.take(length).read_to_end(&mut asked.body)?;
    Ok(asked)
}
