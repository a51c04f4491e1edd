//! Tokens a second of a model while it decodes, alone and with others:
//! `cargo run --release -p gatewright-engine --example bench -- <model> [tokens] [at once] [q8|q4] [cpu|cuda]`
//!
//! Apart because a number needs a way to be measured again. It must not be needed by anything.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::join_all;
use gatewright_engine::{DeviceChoice, Engine, EngineError, EngineOptions, ModelFiles, Terms};
use gatewright_types::{ChatRequest, Delta, Message, Role, Sampling};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("usage: bench <model> [tokens] [at once] [q8|q4] [cpu|cuda]")?;
    let tokens: u64 = arguments.next().map_or(Ok(200), |n| n.parse())?;
    let at_once: usize = arguments.next().map_or(Ok(8), |n| n.parse())?;
    // `-` leaves weights as they are.
    let quantize = arguments.next().filter(|text| text != "-").map(|text| text.parse()).transpose()?;
    let device = arguments.next().map_or(Ok(DeviceChoice::default()), |text| text.parse())?;
    let options = EngineOptions { device, quantize, max_running: at_once, max_waiting: at_once, ..EngineOptions::default() };
    let engine = Engine::open(&ModelFiles::Folder(model.into()), &options)?;
    let alone = if at_once == 1 { 0 } else { 1 };
    for requests in [alone, at_once].into_iter().filter(|requests| *requests > 0) {
        // What comes before the second token is not decoding.
        let before = run(&engine, requests, 1).await?.1;
        let (total, seconds) = run(&engine, requests, tokens + 1).await?;
        let (decoded, seconds) = (total - requests as u64, seconds - before);
        println!("{}: {requests} at once, {decoded} tokens, {:.2} tokens/s", engine.device(), decoded as f64 / seconds);
    }
    Ok(())
}

/// Tokens that so many requests at once got, and the seconds that it took.
async fn run(engine: &Engine, requests: usize, tokens: u64) -> Result<(u64, f64), EngineError> {
    let started = Instant::now();
    let all = (0..requests).map(|seed| {
        let sampling = Sampling { max_tokens: Some(tokens), seed: i64::try_from(seed).ok(), ..Sampling::default() };
        let messages = vec![Message::text(Role::User, "What is 47 + 85?")];
        let asked = engine.submit(Arc::new(ChatRequest { messages, sampling, ..ChatRequest::default() }), Terms::default());
        async {
            let (generation, reading) = asked?;
            reading.run();
            let deltas: Vec<_> = generation.collect().await;
            let usage = deltas.into_iter().filter_map(|d| if let Ok(Delta::Usage(u)) = d { Some(u.completion) } else { None });
            Ok::<u64, EngineError>(usage.sum())
        }
    });
    let counts: Result<Vec<u64>, _> = join_all(all).await.into_iter().collect();
    Ok((counts?.iter().sum(), started.elapsed().as_secs_f64()))
}
