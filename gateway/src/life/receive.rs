//! Second stage: the body, bounded in bytes (its own, and those of all that come in) and time, read into a request by the dialect.
//!
//! Apart because it alone reads what a client sends. It must not know routes or plugins. It takes the stage before it:
//!
//! ```
//! # use bytes::Bytes; use futures_util::Stream; use gatewright::life::{Authenticated, Received, Refused, receive};
//! async fn next<B: Stream<Item = Result<Bytes, ()>> + Send>(before: Authenticated, body: B) -> Result<Received, Refused> {
//!     receive(before, body).await
//! }
//! ```
//! A body cannot be read for a head that was not authenticated:
//! ```compile_fail
//! # use bytes::Bytes; use futures_util::Stream; use gatewright::life::{Head, Received, Refused, receive};
//! async fn next<B: Stream<Item = Result<Bytes, ()>> + Send>(before: Head, body: B) -> Result<Received, Refused> {
//!     receive(before, body).await
//! }
//! ```

use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use gatewright_types::{ChatRequest, Fault, FaultKind};

use super::admit::full;
use super::authenticate::{Authenticated, Caller};
use super::conversations::recall;
use super::refused::Refused;
use crate::dialects::Asked;

/// A request that was read.
#[derive(Debug)]
pub struct Received {
    pub(super) caller: Arc<Caller>,
    pub(super) request: ChatRequest,
    _made_here: (),
}

/// Reads the body and makes a request of it.
///
/// # Errors
/// Too large, too slow, broken off, not JSON, or not a request.
pub async fn receive<B, E>(authenticated: Authenticated, body: B) -> Result<Received, Refused>
where
    B: Stream<Item = Result<Bytes, E>> + Send,
{
    let Authenticated { caller, .. } = authenticated;
    match read(&caller, body).await {
        Ok(request) => Ok(Received { caller, request, _made_here: () }),
        Err(fault) => Err(caller.turn_away("", fault)),
    }
}

async fn read<B, E>(caller: &Caller, body: B) -> Result<ChatRequest, Fault>
where
    B: Stream<Item = Result<Bytes, E>> + Send,
{
    let limits = &caller.host.facts.limits;
    if caller.head.content_length.is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(too_large(limits.body_bytes));
    }
    // Held until the body was read into a request.
    let mut room = caller.host.shared.limiter.body();
    let collecting = collect(body, |bytes| match bytes {
        _ if bytes > limits.body_bytes => Err(too_large(limits.body_bytes)),
        _ if !room.grow(bytes, limits.bodies_bytes) => Err(full("request bodies that are coming in")),
        _ => Ok(()),
    });
    let body = tokio::time::timeout(limits.body_time, collecting).await.map_err(|_| {
        let message = format!("The body did not arrive within {} seconds.", limits.body_time.as_secs_f32());
        Fault::caller(FaultKind::ClientTimeout, message)
    })??;
    let sealer = caller.sealer();
    let recalled = recall(caller, caller.head.dialect.recalls(&body)).await?;
    let bytes = recalled.iter().map(|kept| kept.body.len() + kept.conversation.len()).sum::<usize>();
    if !room.grow(body.len().saturating_add(bytes), limits.bodies_bytes) {
        return Err(full("request bodies that are coming in"));
    }
    let keeps = caller.host.facts.conversations.keep;
    let most_recalled = Some(limits.body_bytes);
    let asked = Asked { headers: &caller.head.kept, sealer: Some(&sealer), keeps, recalled: &recalled, most_recalled };
    caller.head.dialect.read(&body, &asked)
}

fn too_large(limit: usize) -> Fault {
    Fault::caller(FaultKind::BodyTooLarge, format!("The body is larger than this gateway's limit of {limit} bytes."))
}

/// All bytes of a body, as far as `fits` takes its size. The usual body comes in one piece and is not copied.
async fn collect<B, E>(body: B, mut fits: impl FnMut(usize) -> Result<(), Fault>) -> Result<Bytes, Fault>
where
    B: Stream<Item = Result<Bytes, E>> + Send,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| Fault::caller(FaultKind::InvalidRequest, "The body broke off before its end."))?;
        fits(first.len() + whole.len() + piece.len())?;
        if first.is_empty() && whole.is_empty() {
            first = piece;
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
