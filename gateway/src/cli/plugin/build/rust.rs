//! Compiles a guest in Rust: `cargo`, for `wasm32-unknown-unknown`.
//!
//! Apart because finding a compiler for that target is half of it. It must not know what a component is: it gives back what the linker
//! leaves.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::super::super::run::{FAILED, Failure, failed};

const TARGET: &str = "wasm32-unknown-unknown";
/// Where distributions put their own compiler.
const SYSTEM: &str = "/usr/bin/rustc";
/// As `policies/build.sh` has it: no messages of panics that nobody could read.
const FLAGS: &str = r#"["-Zlocation-detail=none", "-Zunstable-options", "-Cpanic=immediate-abort"]"#;

/// How the target is compiled for.
enum Compiler {
    /// The one of the toolchain, which has the target.
    Its,
    /// The system's, with std from its sources and this linker.
    System { linker: PathBuf },
}

/// Compiles the crate in this folder; the module's bytes.
pub(super) fn build(folder: &Path) -> Result<Vec<u8>, Failure> {
    let compiler = compiler(folder)?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    if let Compiler::System { linker } = &compiler {
        let config = |key: &str, value: &str| ["--config".to_owned(), format!("{key}={value}")];
        cargo.env("RUSTC_BOOTSTRAP", "1").args(["-Z", "build-std=std,panic_abort"]);
        cargo.args(config("build.rustc", &format!("{SYSTEM:?}"))).args(config(&format!("target.{TARGET}.rustflags"), FLAGS));
        cargo.args(config(&format!("target.{TARGET}.linker"), &format!("{:?}", linker.display().to_string())));
    }
    let output = cargo.stderr(Stdio::inherit()).output().map_err(|error| failed(&format_args!("cargo: {error}")))?;
    if !output.status.success() {
        return Err(failed(&format_args!("cargo build failed in {}", folder.display())));
    }
    let module = module(&String::from_utf8_lossy(&output.stdout), folder).ok_or_else(|| {
        failed(&format_args!("{}: cargo left no .wasm file; Cargo.toml needs `[lib] crate-type = [\"cdylib\"]`", folder.display()))
    })?;
    std::fs::read(&module).map_err(|error| failed(&format_args!("{}: {error}", module.display())))
}

/// The file that cargo says it made of this folder's crate.
fn module(said: &str, folder: &Path) -> Option<PathBuf> {
    let manifest = folder.join("Cargo.toml").canonicalize().ok()?;
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mine = messages.filter(|message| message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest));
    let files = mine.filter_map(|message| message["filenames"].as_array().cloned()).flatten();
    files.filter_map(|file| file.as_str().filter(|file| file.ends_with(".wasm")).map(PathBuf::from)).next_back()
}

/// What a program prints; nothing where it is missing or fails.
fn said(folder: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(folder).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn compiler(folder: &Path) -> Result<Compiler, Failure> {
    if said(folder, "cargo", &["--version"]).is_none() {
        let told = format!("Rust is missing: install it from https://rustup.rs, then run `rustup target add {TARGET}`");
        return Err(failed(&told));
    }
    let libraries = said(folder, "rustc", &["--print", "target-libdir", "--target", TARGET]);
    if libraries.is_some_and(|folder| Path::new(&folder).is_dir()) {
        return Ok(Compiler::Its);
    }
    let sysroot = said(folder, SYSTEM, &["--print", "sysroot"]).map(PathBuf::from);
    let sources = sysroot.is_some_and(|root| root.join("lib/rustlib/src/rust/library").is_dir());
    match linker(folder).filter(|_| sources) {
        Some(linker) => Ok(Compiler::System { linker }),
        None => Err((
            FAILED,
            vec![
                format!("gatewright: the Rust toolchain cannot compile for {TARGET}. Add the target:"),
                format!("  rustup target add {TARGET}"),
                "or, on Debian and Ubuntu, take the distribution's compiler for it:".to_owned(),
                "  apt-get install rustc-web rust-web-src".to_owned(),
            ],
        )),
    }
}

/// The toolchain's own linker.
fn linker(folder: &Path) -> Option<PathBuf> {
    let (sysroot, version) = (said(folder, "rustc", &["--print", "sysroot"])?, said(folder, "rustc", &["-vV"])?);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    let linker = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld");
    linker.is_file().then_some(linker)
}
