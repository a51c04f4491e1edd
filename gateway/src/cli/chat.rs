//! `gatewright chat`: a model in the terminal. Thought is dimmed there, and left out where nobody looks, so that answers can be piped.
//!
//! Apart from `run` because it reads and writes by turns. It must not know how an answer is come by.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use gatewright_types::DeviceChoice;
use tokio::sync::mpsc;

use super::run::{FAILED, Outcome, block_on, failed, source};
use crate::chat::{Conversation, Said};
use crate::config::DEMO;
use crate::environment::{Environment, Ink};
use crate::serve::{Configuration, Inside, Overrides};

#[derive(Debug, Args)]
#[command(
    after_help = "It is asked as clients are, through the plugins of its route, but without a key; nothing is served meanwhile.
Lines are questions; /clear begins anew, /exit or Ctrl-D ends. Ctrl-C cuts an answer.

Examples:
  gatewright chat                                     the demo model
  gatewright chat openai/gpt-4.1-mini                 a provider's, with its key in the environment
  gatewright chat /models/DeepSeek-R1-Distill-Qwen-1.5B
  gatewright chat deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B    one that `gatewright pull` has fetched
  echo 'What is 47 + 85?' | gatewright chat           the answer alone, for pipes"
)]
pub(crate) struct Chat {
    /// A route, `provider/model`, a model's folder, or a model that was pulled [default: the demo model, or the only route]
    model: Option<String>,
    /// What the model is told before all else
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Configuration file [default: ./gatewright.yaml if it is there]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for cache, records and tokens
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Where the embedded engine computes: auto, cpu, cuda or cuda:N [default: auto]
    #[arg(long)]
    device: Option<DeviceChoice>,
}

/// Talks until there are no more questions.
pub(super) fn chat(args: Chat, environment: Environment) -> Outcome {
    let model = args.model.as_deref().and_then(|name| super::model_of(name, &environment));
    let asked = model.as_ref().map(|(name, _)| name.clone()).or(args.model);
    let overrides = Overrides { data: args.data, device: args.device, model, ..Overrides::default() };
    let configuration = Configuration { source: source(args.config, &environment), overrides, environment };
    block_on(configuration.environment.threads().max(2), |_| async move {
        let told = |problems: Vec<String>| (FAILED, problems.into_iter().map(|problem| format!("gatewright: {problem}")).collect());
        let inside = Inside::open(&configuration).await.map_err(told)?;
        let model = match asked.or_else(|| usual(inside.routes())) {
            Some(model) => model,
            None => return Err(failed(&format_args!("name a model: {}", inside.routes().join(", ")))),
        };
        let talk = Talk { ink: configuration.environment.ink(), asks: configuration.environment.asks() };
        let outcome = talk.run(Conversation::new(inside.router(), model, args.system)).await;
        inside.close().await;
        outcome
    })
}

/// The demo model, or the only route.
fn usual(routes: Vec<String>) -> Option<String> {
    let demo = routes.iter().find(|name| *name == DEMO).cloned();
    demo.or_else(|| if routes.len() == 1 { routes.into_iter().next() } else { None })
}

/// How it is shown.
struct Talk {
    ink: Ink,
    /// Whether somebody sits there.
    asks: bool,
}

impl Talk {
    async fn run(&self, mut conversation: Conversation) -> Outcome {
        let mut lines = lines();
        loop {
            if self.asks {
                show("> ");
            }
            let Some(line) = lines.recv().await else {
                if self.asks {
                    show("\n");
                }
                return Ok(());
            };
            match line.trim() {
                "" => {}
                "/exit" => return Ok(()),
                "/clear" => conversation.clear(),
                text => self.turn(&mut conversation, text).await?,
            }
        }
    }

    /// One question and its answer.
    async fn turn(&self, conversation: &mut Conversation, text: &str) -> Outcome {
        let mut shown = Shown { ink: self.ink, dim: false, any: false };
        let answer = conversation.ask(text, |said| shown.tell(said));
        let outcome = tokio::select! {
            outcome = answer => outcome,
            _ = tokio::signal::ctrl_c() => Err("cut off; the question is as if it had not been asked".to_owned()),
        };
        shown.end();
        match outcome {
            Ok(()) => Ok(()),
            // Somebody who sits there may ask another question.
            Err(problem) if self.asks => {
                let _ = writeln!(std::io::stderr(), "gatewright: {problem}");
                Ok(())
            }
            Err(problem) => Err(failed(&problem)),
        }
    }
}

/// An answer on its way to the terminal.
struct Shown {
    ink: Ink,
    /// Whether what is written now is dimmed.
    dim: bool,
    any: bool,
}

impl Shown {
    fn tell(&mut self, said: Said) {
        match said {
            Said::Reasoning(text) if self.ink == Ink::Coloured => self.write(Dim::Yes, &text),
            Said::Reasoning(_) => {}
            Said::Text(text) => self.write(Dim::No, &text),
            Said::Call(name) => self.write(Dim::Yes, &format!("[calls {name}, which nobody runs here]")),
            Said::Ended(reason) => self.write(Dim::Yes, &format!("[ended: {reason}]")),
        }
    }

    fn write(&mut self, dim: Dim, text: &str) {
        let wanted = dim == Dim::Yes && self.ink == Ink::Coloured;
        let text = plain(text);
        let mark = match (self.dim, wanted) {
            (false, true) => "\u{1b}[2m",
            // Speech stands apart from thought.
            (true, false) => "\u{1b}[0m\n\n",
            _ => "",
        };
        // Which often ends and begins with empty lines of its own.
        let text = if self.dim && !wanted || !self.any { text.trim_start_matches('\n') } else { &text };
        self.dim = wanted;
        self.any |= !text.is_empty();
        show(&format!("{mark}{text}"));
    }

    fn end(&mut self) {
        show(if std::mem::take(&mut self.dim) { "\u{1b}[0m\n" } else { "\n" });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dim {
    Yes,
    No,
}

/// A model's text without what would command the terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// Shows a text. A reader that went away is no failure.
fn show(text: &str) {
    let _ = crate::terminal::print(text);
}

/// Lines of standard input, read on a thread of their own, which an answer does not wait for.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_says_cannot_command_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\u{7}\n\tc\r\u{9b}d"), "a[31mb\n\tcd");
    }

    #[test]
    fn without_a_name_it_is_the_demo_or_the_only_route() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(usual(names(&["a", DEMO])).as_deref(), Some(DEMO));
        assert_eq!(usual(names(&["a"])).as_deref(), Some("a"));
        assert_eq!(usual(names(&["a", "b"])), None);
    }
}
