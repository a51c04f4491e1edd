//! `gatewright plugin test`: all cases of a plugin's folder, and what came instead where something else came.
//!
//! Apart because it words outcomes; what a case means is the plugin host's. It must not know any plugin.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gatewright_plugins::cases::{self, Case, Trials};
use gatewright_plugins::{Host, Source};
use indicatif::{ProgressBar, ProgressStyle};

use super::super::run::{Failure, MISTAKEN, Outcome, block_on, failed, print};
use super::{author, told};

/// Cases of one file.
pub(super) struct File {
    path: PathBuf,
    pub(super) cases: Vec<Case>,
}

/// Runs the cases.
pub(super) fn test(plugin: &Path, splits: u64, only: Option<&str>) -> Outcome {
    let files = files(plugin, only)?;
    let all: usize = files.iter().map(|file| file.cases.len()).sum();
    if all == 0 {
        let where_to = plugin.join("cases/NAME.yaml");
        return Err((MISTAKEN, vec![format!("gatewright: no case to run; cases are in {}", where_to.display())]));
    }
    let host = Host::counting(1);
    let trials = Trials::new(&host, Source::Folder(plugin.to_owned()), author(serde_json::Value::Null), splits);
    let (mut wrong, mut lines) = (Vec::new(), String::new());
    block_on(1, |_| async {
        let mut trials = trials;
        let bar = ProgressBar::new(all as u64).with_style(style());
        for file in &files {
            let (before, mut costs) = (wrong.len(), Vec::new());
            for case in &file.cases {
                bar.set_message(case.name.clone());
                match trials.run(case).await {
                    Ok(fuel) => costs.push((fuel, &case.name)),
                    Err(error) => wrong.push(format!("{}:{}: {}: {error}", file.path.display(), case.line, case.name)),
                }
                bar.inc(1);
            }
            let failed = wrong.len() - before;
            let _ = writeln!(lines, "{}: {} passed, {failed} failed", file.path.display(), file.cases.len() - failed);
            for (fuel, name) in costs {
                let _ = writeln!(lines, "  fuel {fuel:>9}  {name}");
            }
        }
        bar.finish_and_clear();
        Ok(())
    })?;
    print(&lines)?;
    if wrong.is_empty() {
        let pass = if all == 1 { "case passes" } else { "cases pass" };
        return print(&format!("{all} {pass}; streams were shown whole and cut in {splits} ways\n"));
    }
    wrong.push(format!("{} of {all} cases fail", wrong.len()));
    told(wrong)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The files of cases in a plugin's folder, by name, with the cases that are wanted.
pub(super) fn files(plugin: &Path, only: Option<&str>) -> Result<Vec<File>, Failure> {
    let folder = plugin.join("cases");
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| failed(&format_args!("{}: {error}", path.display()));
    if !plugin.join("plugin.yaml").is_file() {
        return Err(failed(&format_args!("{} is not a plugin's folder: it has no plugin.yaml", plugin.display())));
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
        paths.push(entry.map_err(|error| unreadable(&folder, &error))?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"));
    paths.sort();
    let (mut files, mut complaints) = (Vec::new(), Vec::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        match cases::read(&text) {
            Ok(mut cases) => {
                cases.retain(|case| only.is_none_or(|words| case.name.contains(words)));
                files.push(File { path, cases });
            }
            Err(error) => complaints.push(format!("{}: {error}", path.display())),
        }
    }
    if complaints.is_empty() { Ok(files) } else { Err((MISTAKEN, complaints)) }
}
