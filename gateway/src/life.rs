//! The life of a request on one screen: seven stages, each in one file of its own.
//!
//! A stage is a type with private fields and one constructor, which takes the stage before it by value: a stage cannot be
//! skipped, for it does not compile (each stage's own page shows it). Streams and whole answers live the same life; which of
//! them the client wants is decided once, at the door (`http/respond.rs`).
//!
//! Apart from the stages so that their order is seen at once. They must not know HTTP: they see a head, a body as a stream
//! of bytes, and give a stream of chunks.

mod admit;
mod authenticate;
pub(crate) mod background;
pub(crate) mod conversations;
mod converse;
pub(crate) mod ears;
mod estimate;
mod guard;
#[cfg(test)]
pub(crate) mod kit;
pub(crate) mod leave;
pub(crate) mod meter;
mod parameters;
mod pass;
pub(crate) mod recall;
mod receive;
mod refused;
mod resolve;
mod screen;
pub(crate) mod seat;
mod segments;
mod sets;
mod settle;
mod stay;
pub(crate) mod tried;
pub(crate) mod verdicts;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

pub use admit::{Admitted, admit};
pub use authenticate::{Authenticated, Caller, Head, authenticate};
pub use converse::{Answered, Manner, converse};
pub(crate) use pass::board;
pub use receive::{Received, receive};
pub use refused::Refused;
pub use resolve::{Resolved, resolve};
pub use screen::{Screened, screen};
pub use settle::{Settled, settle};

use crate::host::Host;

/// One request, from its head to an answer that has begun.
///
/// # Errors
/// [`Refused`]: why there is no answer. Nothing was sent yet.
pub async fn live<B, E>(host: Arc<Host>, head: Head, body: B) -> Result<Settled, Refused>
where
    B: Stream<Item = Result<Bytes, E>> + Send,
{
    go_on(let_in(host, head, body).await?).await
}

/// The first half of it: nobody was asked for an answer yet.
///
/// # Errors
/// As [`live`].
pub(crate) async fn let_in<B, E>(host: Arc<Host>, head: Head, body: B) -> Result<Screened, Refused>
where
    B: Stream<Item = Result<Bytes, E>> + Send,
{
    let authenticated = authenticate(host, head)?; // headers alone: which key, team, tenant is this
    let received = receive(authenticated, body).await?; // bounded body -> request, by dialect
    let resolved = resolve(received)?; // model name, key -> route: plugin chain, legs
    let admitted = admit(resolved)?; // rate, concurrency: holds a seat
    screen(admitted).await // request-phase plugins: edit, block, answer, set, note
}

/// The second half.
///
/// # Errors
/// As [`live`].
pub(crate) async fn go_on(screened: Screened) -> Result<Settled, Refused> {
    let answered = converse(screened).await?; // cache, dispatch, guard the deltas, run tools, ask again
    Ok(settle(answered)) // the seat rides the stream to its end
}

/// About how many tokens a request's prompt has. It is read and resolved as if it were to be answered, counts as one of its key's
/// requests, and goes no further.
///
/// # Errors
/// As far as [`live`] would refuse it before it has a seat, and when the key is over a limit.
pub async fn measure<B, E>(host: Arc<Host>, head: Head, body: B) -> Result<u64, Refused>
where
    B: Stream<Item = Result<Bytes, E>> + Send,
{
    let resolved = resolve(receive(authenticate(host, head)?, body).await?)?;
    let _taken = admit::pass(&resolved)?;
    Ok(meter::prompt_estimate(&resolved.request))
}
