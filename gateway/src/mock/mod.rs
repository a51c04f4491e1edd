//! `gatewright mock`: an upstream that says what a script tells it to, for the tour and for tests.
//!
//! Apart because it plays a stranger: it speaks OpenAI's chat completions and Responses and Anthropic's Messages from its own few lines, so that
//! a mistake in the gateway's dialect is not made twice. It must not use any other part of the gateway.

mod answer;
mod body;
mod messages;
mod question;
mod read;
mod responses;
mod script;
mod server;
#[cfg(test)]
mod tests;
mod texts;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

pub use read::ScriptError;
pub use script::Script;
pub use server::{Counts, Mock};

/// Why the mock cannot run, in words for the terminal.
#[derive(Debug, thiserror::Error)]
pub enum MockError {
    /// The script's file cannot be read.
    #[error("cannot read {0}: {1}")]
    File(String, #[source] io::Error),
    /// The script is wrong.
    #[error("{0}: {1}")]
    Script(String, #[source] ScriptError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1} (choose another address with --listen)")]
    Listen(SocketAddr, #[source] io::Error),
}

/// Starts a mock in this process; port 0 takes a free one. It ends when the handle drops.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(listen: SocketAddr, script: Script) -> io::Result<Mock> {
    Mock::start(listen, script).await
}

/// Runs a mock until the process ends: what the subcommand does. Without a file the script of the tour is played.
///
/// # Errors
/// [`MockError`], before anything is served.
pub async fn serve(listen: SocketAddr, script: Option<&Path>) -> Result<(), MockError> {
    let script = match script {
        None => Script::tour(),
        Some(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| MockError::File(name.clone(), error))?;
            Script::parse(&text).map_err(|error| MockError::Script(name, error))?
        }
    };
    let mock = start(listen, script).await.map_err(|error| MockError::Listen(listen, error))?;
    // It plays also when nobody looks.
    let _ = writeln!(io::stdout(), "mock upstream: {} (what it was asked: http://{}/__mock/requests)", mock.url(), mock.addr());
    mock.wait().await;
    Ok(())
}
