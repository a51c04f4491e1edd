//! Refusals on a bare stream: when a connection is not taken, or its head does not come.
//!
//! Apart because here there is no request to answer yet, only bytes. It must not wait long for anyone.

use std::time::Duration;

use gatewright_types::{Fault, FaultKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dialects::openai_chat::fault::envelope;

const PATIENCE: Duration = Duration::from_secs(2);
const MAX_DRAINED: usize = 256 << 10;

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
    let body = envelope(&fault);
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
        stream.shutdown().await?;
        let mut scrap = [0; 4096];
        let mut drained = 0;
        while drained < MAX_DRAINED {
            match stream.read(&mut scrap).await? {
                0 => break,
                n => drained += n,
            }
        }
        std::io::Result::Ok(())
    };
    // Whether the client hears it is the client's affair.
    let _ = timeout(PATIENCE, talk).await;
}
