//! Makes a component of JavaScript: `componentize-qjs`, which packs QuickJS and the source into one.
//!
//! Apart because it comes from npm and leaves a whole component. It must not know what the source does. What the engine takes of WASI
//! is left to the host, whose stubs deny.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::super::run::{Failure, failed};

/// The package, and its program within it.
const PACKAGE: &str = "componentize-qjs";
const PROGRAM: &str = "node_modules/componentize-qjs/bin/componentize-qjs";
const SOURCE: &str = "plugin.js";

/// Builds `plugin.js` of this folder; the component's bytes.
pub(super) fn build(folder: &Path, built: &str) -> Result<Vec<u8>, Failure> {
    if !folder.join(SOURCE).is_file() {
        return Err(failed(&format_args!("{} has no {SOURCE}", folder.display())));
    }
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        return Err(failed(
            &"Node is missing: install it from https://nodejs.org (on Debian and Ubuntu: apt-get install nodejs npm)",
        ));
    }
    let folder = folder.canonicalize().map_err(|error| failed(&format_args!("{}: {error}", folder.display())))?;
    let program = program(&folder).ok_or_else(|| {
        failed(&format_args!(
            "{PACKAGE} is missing: run `npm install` in {} (or `npm install --save-dev {PACKAGE}`)",
            folder.display()
        ))
    })?;
    let mut node = Command::new("node");
    node.current_dir(&folder).arg(program).args(["--wit", "wit", "--world", "plugin", "--js", SOURCE]);
    node.args(["--module-root", ".", "--sync", "--output", built]);
    let output = node.stdin(Stdio::null()).output().map_err(|error| failed(&format_args!("node: {error}")))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).trim().to_owned()).join("\n");
        return Err(failed(&format_args!("{PACKAGE} failed:\n{said}")));
    }
    std::fs::read(folder.join(built)).map_err(|error| failed(&format_args!("{built}: {error}")))
}

/// The program in the folder's packages, or in those of a folder around it.
fn program(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|around| around.join(PROGRAM)).find(|program| program.is_file())
}
