//! The last of a bare stream: refusals when a connection is not taken, or its head does not come, and reading on to its end.
//!
//! Apart because here there is no request to answer yet, only bytes. It must not wait long for anyone.

use std::time::Duration;

use gatewright_types::{Fault, FaultKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dialects::DialectRef;

const PATIENCE: Duration = Duration::from_secs(2);
const MAX_DRAINED: usize = 256 << 10;
/// The same for a client that is in the middle of a body when it was answered.
const LINGER: Duration = Duration::from_secs(5);
const MAX_LINGERED: usize = 64 << 20;

/// Told to a client when there are too many connections.
pub(crate) fn full() -> Fault {
    Fault::gateway(FaultKind::Overloaded, "the gateway has as many connections as it may; try again in a moment")
}

/// Told to a client whose head did not come in time.
pub(crate) fn slow() -> Fault {
    Fault::caller(FaultKind::ClientTimeout, "the request's headers did not come in time")
}

/// Says a fault as a whole HTTP/1.1 response and closes. Reads on for a moment: closing with unread bytes would reset the
/// connection and take the response with it.
pub(crate) async fn say(mut stream: TcpStream, fault: Fault) {
    // What it would have spoken is not known yet.
    let body = DialectRef::default().envelope(&fault, "");
    let (status, extra) = match fault.status() {
        408 => ("408 Request Timeout", ""),
        _ => ("503 Service Unavailable", "retry-after: 1\r\n"),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{extra}connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut response = head.into_bytes();
    response.extend_from_slice(&body);
    let talk = async {
        stream.write_all(&response).await?;
        drain(&mut stream, MAX_DRAINED).await
    };
    // Whether the client hears it is the client's affair.
    let _ = timeout(PATIENCE, talk).await;
}

/// Closes a stream on which an answer was written before its request was read to the end, for the same reason not at once.
pub(crate) async fn linger(mut stream: TcpStream) {
    // As above.
    let _ = timeout(LINGER, drain(&mut stream, MAX_LINGERED)).await;
}

/// Says that no more will be said, and reads to the end, or so many bytes.
async fn drain(stream: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut scrap = vec![0; 16 << 10];
    let mut drained = 0;
    while drained < bytes {
        match stream.read(&mut scrap).await? {
            0 => break,
            n => drained += n,
        }
    }
    Ok(())
}
