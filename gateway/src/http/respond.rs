//! Answers as responses: the one place that asks whether the client wants a stream.
//!
//! Apart because streams and whole answers live the same life up to here. It must not know how an answer came about.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt;
use gatewright_types::{Completion, Fault, FaultKind, Raw, gather_into};

use super::heads::{self, ANSWERED_BY, CACHE, RECALLED};
use super::litellm;
use super::refuse::refuse;
use super::sse_out::EventBody;
use crate::dialects::{Begin, DialectRef, Ended};
use crate::life::seat::{Seat, cache_word};
use crate::life::{Manner, Settled};

/// The response of an answer that has begun.
pub(super) async fn respond(settled: Settled) -> Response<Body> {
    match settled.manner() {
        Manner::Stream { .. } => stream(settled),
        Manner::Whole => gathered(settled).await,
    }
}

fn begin(settled: &Settled) -> Begin {
    let seat = settled.seat();
    let caller = seat.caller();
    let include_usage = settled.manner() != Manner::Stream { usage: false };
    let id = caller.head.answer_id();
    let (created, echo) = (caller.at_ms / 1000, seat.echo().cloned());
    Begin { id, model: seat.model(), created, include_usage, sealer: Some(caller.sealer()), echo, ended: Ended::default() }
}

fn dialect(settled: &Settled) -> DialectRef {
    settled.seat().caller().head.dialect
}

fn stream(settled: Settled) -> Response<Body> {
    let writer = dialect(&settled).events(begin(&settled));
    let mut headers = HeaderMap::with_capacity(12);
    describe(&mut headers, settled.seat());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that collect what they pass on are told not to.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    let silence = settled.seat().caller().host.facts.limits.keep_alive;
    let mut response = Response::new(Body::new(EventBody::new(settled, writer, silence)));
    *response.headers_mut() = headers;
    response
}

async fn gathered(mut settled: Settled) -> Response<Body> {
    let dialect = dialect(&settled);
    match gather(&mut settled).await {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            describe(response.headers_mut(), settled.seat());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(fault) => {
            let (id, host) = (settled.seat().caller().head.request_id.clone(), Arc::clone(&settled.seat().caller().host));
            let mut response = refuse(&settled.refused(fault), (dialect, &id));
            litellm::put_call(response.headers_mut(), &host.facts, &id);
            response
        }
    }
}

/// All of an answer as one body. An upstream's own body that nobody touched is passed on as it came.
pub(super) async fn gather(settled: &mut Settled) -> Result<Bytes, Fault> {
    let limit = settled.seat().caller().host.facts.limits.answer_bytes;
    let (mut begin, dialect) = (begin(settled), dialect(settled));
    let mut answer = Completion::default();
    let mut untouched: Option<Bytes> = None;
    let (mut chunks, mut bytes) = (0usize, 0usize);
    while let Some(chunk) = settled.next().await {
        let chunk = chunk?;
        chunks += 1;
        bytes += chunk.deltas.iter().map(crate::life::meter::text_bytes).sum::<usize>();
        if bytes > limit {
            let message = format!("The answer is larger than this gateway's limit of {limit} bytes.");
            return Err(Fault::gateway(FaultKind::UpstreamInvalid, message));
        }
        untouched = match &chunk.raw {
            Some(Raw::Body(name, body)) if chunks == 1 && *name == dialect.name() => Some(body.clone()),
            _ => None,
        };
        gather_into(&mut answer, chunk);
    }
    fill(&mut answer, &begin);
    begin.ended = settled.seat().ended();
    let body = untouched.unwrap_or_else(|| dialect.whole(&answer, &begin));
    settled.seat().keep(&body);
    Ok(body)
}

/// Names what the upstream left unnamed.
fn fill(answer: &mut Completion, begin: &Begin) {
    if answer.id.is_empty() {
        answer.id.clone_from(&begin.id);
    }
    if answer.model.is_empty() {
        answer.model.clone_from(&begin.model);
    }
    if answer.created == 0 {
        answer.created = begin.created;
    }
}

/// The headers that every answer has.
fn describe(headers: &mut HeaderMap, seat: &Seat) {
    let caller = seat.caller();
    heads::put_id(headers, caller.head.dialect, &caller.head.request_id);
    heads::put_standing(headers, &seat.standing());
    seat.meter().read(|figures| {
        headers.insert(CACHE, HeaderValue::from_static(cache_word(figures)));
        if let Some(plugin) = &figures.answered_by {
            heads::put(headers, ANSWERED_BY, plugin);
        }
        if !caller.host.facts.verdict_headers {
            return;
        }
        if figures.recalled > 0 {
            headers.insert(RECALLED, figures.recalled.into());
        }
    });
    for (name, text) in heads::carried(seat) {
        heads::put(headers, name, &text);
    }
    litellm::put(headers, seat);
    heads::put_told(headers, &seat.verdicts());
}
