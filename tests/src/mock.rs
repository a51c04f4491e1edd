//! The scripted upstream as a process of its own: `gatewright mock`, on a free port.
//!
//! Apart so that it outlives a gateway that a test kills. It must not know the gateway under test.

use std::process::{Child, Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::child::{Broken, binary, spawn};
use crate::http::Request;

/// A running mock. Dropping it ends it.
pub struct Mock {
    child: Child,
    _folder: TempDir,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Mock {
    /// Starts it with a script.
    ///
    /// # Errors
    /// What it printed, when it did not start.
    pub fn playing(script: &str) -> Result<Self, Broken> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("script.yaml"), script)?;
        let mut command = Command::new(binary()?);
        command.args(["mock", "--listen", "127.0.0.1:0", "script.yaml"]);
        let (child, mut urls) = spawn(command, folder.path(), &["mock"])?;
        let url = urls.remove(0).trim_end_matches("/v1").to_owned();
        Ok(Self { child, _folder: folder, url })
    }

    /// A provider `mock` in a configuration, and whatever else is given.
    pub fn config(&self, rest: &str) -> String {
        format!("verdict_headers: true\nproviders:\n  mock:\n    base_url: {}/v1\n    attempts: 1\n{rest}", self.url)
    }

    /// What it has seen: `count`, `open` (answers under way), `hung_up`, and `requests`, oldest first.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn seen(&self) -> Result<Value, Broken> {
        Ok(Request::get("/__mock/requests").send(&self.url)?.json())
    }

    /// How many requests it has seen.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn count(&self) -> Result<u64, Broken> {
        Ok(self.seen()?["count"].as_u64().unwrap_or_default())
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
