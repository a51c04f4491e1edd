//! Showing a chain one text, whole or as a stream, in a session of its own, and what came of it.
//!
//! Apart because cases, `gatewright plugin run` and `eval` show texts alike. It must not know what is expected.

use std::time::{Duration, Instant};

use gatewright_types::{Channel, Phase, Segment};
use serde_json::Value;

use crate::api::{Busy, Context, Entry, Lane, Piece, Verdict};
use crate::session::{Chain, Session};

/// A text, and as what it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// When.
    pub phase: Phase,
    /// What kind of text.
    pub channel: Channel,
    /// Tool name or media type.
    pub label: Option<&'a str>,
    /// The text as it comes: in phase `chunk` each is a piece of a stream, elsewhere they are one segment.
    pub pieces: &'a [String],
}

/// What came of it.
#[derive(Debug)]
pub struct Made {
    /// How the chain left the request.
    pub verdict: Verdict,
    /// The text that goes on.
    pub text: String,
    /// Notes.
    pub notes: Vec<(String, String)>,
    /// Fields that were set: JSON pointer, value.
    pub sets: Vec<(String, Value)>,
    /// What was done, for the record.
    pub record: Vec<Entry>,
    /// What the guests computed; see [`Session::fuel`].
    pub fuel: u64,
    /// From the first question to the last answer.
    pub took: Duration,
}

/// Shows a text. A stream ends with its last piece, or with the piece at which the chain stops it.
///
/// # Errors
/// [`Busy`] when a plugin has no instance that is free.
pub async fn show(chain: &Chain, shown: &Shown<'_>) -> Result<Made, Busy> {
    let mut session = open(chain).await?;
    let began = Instant::now();
    let (verdict, text, sets) = match shown.phase {
        Phase::Chunk => stream(&mut session, shown).await,
        _ => whole(&mut session, shown).await,
    };
    let took = began.elapsed();
    let (notes, record) = (session.notes().to_vec(), session.record().to_vec());
    Ok(Made { verdict, text, notes, sets, record, fuel: session.fuel(), took })
}

/// A session like any other.
pub(super) async fn open(chain: &Chain) -> Result<Session, Busy> {
    let word = || "case".to_owned();
    let context = Context { request_id: word(), tenant: word(), key: word(), route: word(), model: word(), ..Context::default() };
    chain.open(Context { parameters: "{}".to_owned(), ..context }).await
}

type Told = (Verdict, String, Vec<(String, Value)>);

async fn stream(session: &mut Session, shown: &Shown<'_>) -> Told {
    let lane = Lane { choice: 0, channel: shown.channel, index: 0 };
    let (mut text, mut verdict) = (String::new(), Verdict::Pass);
    for (index, piece) in shown.pieces.iter().enumerate() {
        let ended = if index + 1 == shown.pieces.len() { vec![lane] } else { Vec::new() };
        let piece = Piece { lane, label: shown.label.map(str::to_owned), text: piece.clone() };
        let released = session.feed(vec![piece], &ended).await;
        text.extend(released.pieces.iter().map(|piece| piece.text.as_str()));
        verdict = released.verdict;
        if verdict != Verdict::Pass {
            break;
        }
    }
    (verdict, text, Vec::new())
}

async fn whole(session: &mut Session, shown: &Shown<'_>) -> Told {
    let label = shown.label.map(str::to_owned);
    let mut segments = vec![Segment { id: 0, channel: shown.channel, text: shown.pieces.concat(), sent: 0, label }];
    let outcome = session.inspect(shown.phase, &mut segments).await;
    (outcome.verdict, segments.into_iter().map(|segment| segment.text).collect(), outcome.sets)
}
