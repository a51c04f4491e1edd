//! `gatewright pull`: a model from the Hugging Face hub, with a bar for each file, and the lines that serve it.
//!
//! Apart from `run` because it has progress to show. It must not know the hub's API, nor write into gatewright.yaml.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::run::{Outcome, block_on, failed, print};
use crate::environment::Environment;
use crate::hub::{Hub, Pulled, Told, Wanted};

#[derive(Debug, Args)]
#[command(
    after_help = "It is kept where the hub's own tools keep models (HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub), so that what
is there already is not fetched again. What was cut off goes on where it stopped; every file's digest is checked.
HF_TOKEN is for models that are not for everybody, HF_ENDPOINT for another hub.

Examples:
  gatewright pull deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B
  gatewright pull unsloth/DeepSeek-R1-Distill-Llama-8B-GGUF DeepSeek-R1-Distill-Llama-8B-Q4_K_M.gguf
  gatewright pull deepseek-ai/DeepSeek-R1 config.json tokenizer.json --revision main"
)]
pub(crate) struct Pull {
    /// The model, as the hub calls it
    #[arg(value_name = "OWNER/NAME")]
    repository: String,
    /// These files of it alone, a GGUF file say; else all that serving it needs
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Branch, tag or commit
    #[arg(long, default_value = "main")]
    revision: String,
}

/// Fetches a model.
pub(super) fn pull(args: Pull, environment: &Environment) -> Outcome {
    let hub = Hub::of(environment).map_err(|problem| failed(&problem))?;
    let wanted = Wanted { repository: args.repository, revision: args.revision, files: args.files };
    let name = wanted.repository.rsplit('/').next().unwrap_or_default().to_owned();
    block_on(2, |_| async move {
        let pulled = hub.pull(&wanted, bars()).await.map_err(|problem| failed(&problem))?;
        print(&told(&name, &pulled))
    })
}

/// A bar for the file that is under way; nothing is shown where nobody looks.
fn bars() -> Told {
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let current: Mutex<Option<(String, ProgressBar)>> = Mutex::new(None);
    Arc::new(move |file, there, all| {
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_none_or(|(name, _)| name != file) {
            if let Some((_, bar)) = current.take() {
                bar.finish();
            }
            let bar = ProgressBar::new(all).with_style(style.clone()).with_message(file.to_owned());
            *current = Some((file.to_owned(), bar));
        }
        if let Some((_, bar)) = current.as_ref() {
            bar.set_length(all);
            bar.set_position(there);
            if there >= all {
                bar.finish();
            }
        }
    })
}

/// What is there, and how it is served.
fn told(name: &str, pulled: &Pulled) -> String {
    let quoted = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
    let Pulled { folder, files, bytes } = pulled;
    let count = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
    let mut text = format!("{}\n{count}, {}\n", folder.display(), HumanBytes(*bytes));
    let whole = files.iter().any(|file| file == "config.json") && files.iter().any(|file| file.ends_with(".safetensors"));
    if whole {
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "\nFor gatewright.yaml:\n\nmodels:\n  {}:\n    folder: {}\n",
            serde_json::Value::from(name),
            quoted(folder)
        );
    }
    text
}
