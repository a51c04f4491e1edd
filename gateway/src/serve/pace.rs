//! How long a connection may wait for its client: for a head, for room to write, for another request.
//!
//! Apart because it only looks and says what it found; the door acts on it. It must not know sockets or HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::streams::{Rest, Streams};
use super::wire::Pulse;

/// The least time between two looks.
const LEAST: Duration = Duration::from_millis(1);

/// What a connection's client may take its time for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// For a head to come, and for a connection to say its first word.
    pub(crate) header: Duration,
    /// Without taking a byte of what is to be written.
    pub(crate) write: Duration,
    /// Without a request.
    pub(crate) idle: Duration,
}

impl Times {
    /// Until the first look.
    pub(crate) fn first_look(&self) -> Duration {
        self.header.min(self.write).min(self.idle)
    }
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// All is well; look again after so long.
    Well(Duration),
    /// Nothing happens: it may be asked to close. Look again after so long.
    Idle(Duration),
    /// A head did not come in time.
    Late,
    /// It holds what it was given, and its client does not take it.
    Stuck,
}

/// Looks at a connection.
pub(crate) trait Pace {
    /// What it is like now.
    fn look(&mut self) -> Look;
}

/// An HTTP/1 connection: one request after the other.
#[derive(Debug)]
pub(crate) struct Turns<'a> {
    pulse: &'a Pulse,
    times: Times,
    /// Reads and writes at the last look, and since when there were no more.
    beats: (u64, Instant),
}

impl<'a> Turns<'a> {
    /// A new connection.
    pub(crate) fn new(pulse: &'a Pulse, times: Times) -> Self {
        Self { pulse, times, beats: (0, Instant::now()) }
    }
}

impl Pace for Turns<'_> {
    fn look(&mut self) -> Look {
        let (coming, blocked) = (self.pulse.head_time().unwrap_or_default(), self.pulse.blocked_time().unwrap_or_default());
        if blocked >= self.times.write {
            return Look::Stuck;
        }
        if coming >= self.times.header {
            return Look::Late;
        }
        let next = (self.times.header - coming).min(self.times.write - blocked).min(self.times.idle).max(LEAST);
        let beats = self.pulse.beats();
        if self.beats.0 != beats {
            self.beats = (beats, Instant::now());
        }
        match self.beats.1.elapsed() >= self.times.idle {
            true => Look::Idle(next),
            false => Look::Well(next),
        }
    }
}

/// An HTTP/2 connection: many requests at once.
#[derive(Debug)]
pub(crate) struct Crowd<'a> {
    pulse: &'a Pulse,
    streams: &'a Arc<Streams>,
    times: Times,
}

impl<'a> Crowd<'a> {
    /// A new connection.
    pub(crate) fn new(pulse: &'a Pulse, streams: &'a Arc<Streams>, times: Times) -> Self {
        Self { pulse, streams, times }
    }
}

impl Pace for Crowd<'_> {
    fn look(&mut self) -> Look {
        let Times { header, write, idle } = self.times;
        let blocked = self.pulse.blocked_time().unwrap_or_default();
        let due = self.streams.drop_stuck(write).min(write.saturating_sub(blocked)).max(LEAST);
        match self.streams.rest() {
            _ if blocked >= write => Look::Stuck,
            Rest::Open => Look::Well(due),
            // A handshake, or a head, that does not come to an end.
            Rest::Unbegun(age) if age >= header => Look::Stuck,
            Rest::Unbegun(age) => Look::Well(due.min(header - age)),
            // It was asked to close, and its side of that does not come.
            Rest::Empty(age) if age >= idle + header => Look::Stuck,
            Rest::Empty(age) if age >= idle => Look::Idle(due.min(idle + header - age).max(LEAST)),
            Rest::Empty(age) => Look::Well(due.min(idle - age).max(LEAST)),
        }
    }
}
