//! Asks a model one question and prints what it thinks and says:
//! `cargo run --release -p gatewright-engine --example generate -- <folder> "What is 47 + 85?" [auto|cpu|cuda[:n]]`
//!
//! Apart because it shows the library in one screen. It must not be needed by anything.

use std::io::Write;
use std::sync::Arc;

use futures_util::StreamExt;
use gatewright_engine::{Engine, EngineOptions, ModelFiles, Terms};
use gatewright_types::{ChatRequest, Delta, Message, Role};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(question)) = (arguments.next(), arguments.next()) else {
        return Err("usage: generate <folder> <question> [auto|cpu|cuda[:n]]".into());
    };
    let device = arguments.next().map_or(Ok(Default::default()), |device| device.parse())?;
    let options = EngineOptions { device, max_running: 1, max_waiting: 0, ..EngineOptions::default() };
    let engine = Engine::open(&ModelFiles::Folder(folder.into()), &options)?;
    println!("[{}]", engine.device());
    let messages = vec![Message::text(Role::User, question)];
    let (mut generation, reading) =
        engine.submit(Arc::new(ChatRequest { messages, ..ChatRequest::default() }), Terms::default())?;
    // Takes as long as the prompt is: in a server this is work for a thread of its own.
    reading.run();
    while let Some(delta) = generation.next().await {
        match delta? {
            Delta::Reasoning { text, .. } => print!("\x1b[2m{text}\x1b[0m"),
            Delta::Text { text, .. } => print!("{text}"),
            Delta::Usage(usage) => println!("\n[{usage:?}]"),
            other => println!("\n[{other:?}]"),
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}
