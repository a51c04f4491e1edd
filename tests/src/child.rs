//! One gateway (or mock) process: started on free ports, found ready, signalled, and killed when dropped.
//!
//! Apart so that no test leaves a process behind. It must not know what clients say to it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a process may take to print its addresses, or to end. Generous: a loaded machine must not fail a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Anything that stops a test: tests print it and fail.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;

/// The binary under test: it stands beside the test programs' folder.
///
/// # Errors
/// When the test program does not know where it stands.
pub fn binary() -> Result<PathBuf, Broken> {
    let here = std::env::current_exe()?;
    let folder = here.parent().and_then(Path::parent).ok_or("no target folder")?;
    Ok(folder.join(format!("gatewright-under-test{}", std::env::consts::EXE_SUFFIX)))
}

/// What to start with.
#[derive(Default)]
pub struct Setup {
    /// Text of `gatewright.yaml`; `None` starts without one.
    pub config: Option<String>,
    /// Further arguments of `serve`.
    pub args: Vec<String>,
    /// Variables of the environment; no others of ours are passed on.
    pub env: Vec<(String, String)>,
}

/// A running gateway. Dropping it kills it and removes its folder.
pub struct Gateway {
    child: Child,
    folder: TempDir,
    /// Where clients are served: `http://127.0.0.1:PORT`.
    pub url: String,
    /// Where health, metrics and admin are served.
    pub admin: String,
}

impl Gateway {
    /// Starts with this configuration file.
    ///
    /// # Errors
    /// What the process printed, when it ended or stayed silent.
    pub fn with(config: &str) -> Result<Self, Broken> {
        Self::start(&Setup { config: Some(config.to_owned()), ..Setup::default() })
    }

    /// Starts in a fresh folder and waits until it is ready.
    ///
    /// # Errors
    /// What the process printed, when it ended or stayed silent.
    pub fn start(setup: &Setup) -> Result<Self, Broken> {
        let folder = tempfile::tempdir()?;
        if let Some(config) = &setup.config {
            std::fs::write(folder.path().join("gatewright.yaml"), config)?;
        }
        let (child, url, admin) = launch(folder.path(), setup)?;
        Ok(Self { child, folder, url, admin })
    }

    /// Starts again in the same folder, on new ports, after the process has ended.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub fn restart(&mut self, setup: &Setup) -> Result<(), Broken> {
        (self.child, self.url, self.admin) = launch(self.folder.path(), setup)?;
        Ok(())
    }

    /// Its folder: `gatewright.yaml`, `data/`, `log`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All that it has printed.
    pub fn log(&self) -> String {
        printed(self.folder.path())
    }

    /// The operating system's id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name (`TERM`, `HUP`, `KILL`).
    ///
    /// # Errors
    /// When there is no such process.
    pub fn signal(&self, name: &str) -> Result<(), Broken> {
        let signal = match name {
            "TERM" => Signal::TERM,
            "HUP" => Signal::HUP,
            "KILL" => Signal::KILL,
            _ => return Err(format!("no test needs the signal {name} yet").into()),
        };
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).ok_or("no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn ended(&mut self) -> Result<ExitStatus, Broken> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("it goes on after {PATIENCE:?}: {}", self.log()).into())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until `done` holds.
///
/// # Errors
/// `what`, when it never does.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) -> Result<(), Broken> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if done() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(format!("never came true: {what}").into())
}

fn printed(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

fn launch(folder: &Path, setup: &Setup) -> Result<(Child, String, String), Broken> {
    let mut command = Command::new(binary()?);
    command.args(["serve", "--admin-listen", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
    if !setup.args.iter().any(|arg| arg == "--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.args(&setup.args).envs(setup.env.iter().map(|(name, value)| (name, value)));
    let (child, addresses) = spawn(command, folder, &["Clients", "Admin"])?;
    let [url, admin] = <[String; 2]>::try_from(addresses).map_err(|_| "two addresses were asked for")?;
    Ok((child, url, admin))
}

/// Starts a process in a folder, its output in the file `log` there, and waits until it has printed an address on a line for
/// each of these words.
pub(crate) fn spawn(mut command: Command, folder: &Path, words: &[&str]) -> Result<(Child, Vec<String>), Broken> {
    let log = File::create(folder.join("log"))?;
    // Ours are nobody's business; those that a test sets are.
    let set: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    let ours = std::env::vars_os().map(|(name, _)| name);
    let foreign = |name: &std::ffi::OsString| {
        let text = name.to_string_lossy().to_ascii_uppercase();
        text.ends_with("_API_KEY") || text.ends_with("_BASE_URL") || text == "HTTP_PROXY" || text.starts_with("HF_")
    };
    for name in ours.filter(|name| foreign(name) && !set.contains(name)) {
        command.env_remove(name);
    }
    let mut child = command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    let until = Instant::now() + PATIENCE;
    loop {
        let text = printed(folder);
        let found: Vec<_> = words.iter().filter_map(|word| address(&text, word)).collect();
        if found.len() == words.len() {
            return Ok((child, found));
        }
        if child.try_wait()?.is_some() || Instant::now() > until {
            drop(child.kill());
            return Err(format!("it did not start:\n{text}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The address on the line that begins with this word: `Clients  http://127.0.0.1:4000`.
fn address(text: &str, word: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim_start).filter(|line| line.starts_with(word));
    lines.find_map(|line| line.split_whitespace().find(|w| w.starts_with("http://")).map(|w| w.trim_end_matches('/').to_owned()))
}
