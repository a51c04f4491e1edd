//! A configuration file from its text to facts: the steps in their order.
//!
//! Apart because it is the one way in: `serve`, `validate` and reload all come here. It must not know what a step does.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::complaint::Complaint;
use super::facts::{Facts, PluginFact};
use super::raw::Root;
use super::resolve::{Surroundings, resolve};
use super::yaml::Document;
use super::{emit, litellm, schema, yaml};
use crate::environment::Environment;

/// Name of the file that is looked for in the working folder.
pub const FILE: &str = "gatewright.yaml";
/// More than the reader of YAML takes, so that it is the one to complain.
const MAX_BYTES: u64 = 2 << 20;

/// Reads a file.
///
/// # Errors
/// All mistakes, in the order of the file.
pub fn load_file(path: &Path, environment: &Environment) -> Result<Facts, Vec<Complaint>> {
    let (text, folder) = text_of(path, environment)?;
    load(&text, &folder, environment)
}

/// Something wrong with a plugin: where below its section (a JSON pointer, empty for the plugin itself), and what.
pub type Misfit = (String, String);

/// Looks for all mistakes of a file, those of its plugins too: `load` says what is wrong with one when it is loaded.
///
/// Gives what the file has that counts for nothing here.
///
/// # Errors
/// All mistakes, in the order of the file.
pub fn check_file(
    path: &Path,
    environment: &Environment,
    load: impl Fn(&Facts, &PluginFact) -> Result<(), Vec<Misfit>>,
) -> Result<Vec<Complaint>, Vec<Complaint>> {
    let (text, folder) = text_of(path, environment)?;
    let mut reading = read(&text, &folder, environment);
    for (facts, fact) in reading.facts.iter().flat_map(|facts| facts.plugins.values().map(move |fact| (facts, fact))) {
        let pointer = format!("/plugins/{}", yaml::escape(&fact.name));
        let path = yaml::readable(&pointer);
        // A plugin that is not what its section says cannot be judged.
        let within =
            |told: &Complaint| told.path == path || told.path.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.'));
        if reading.complaints.iter().any(within) {
            continue;
        }
        for (below, message) in load(facts, fact).err().into_iter().flatten() {
            let at = format!("{pointer}{below}");
            // A plugin itself is where its name is; what a default says is not in the file.
            let within = Some(&at).filter(|_| !below.is_empty()).and_then(|at| reading.document.mark(at));
            let mark = within.or_else(|| reading.document.key_mark(&pointer));
            reading.complaints.push(Complaint { mark, path: yaml::readable(&at), message, hint: None });
        }
    }
    reading.judged().map(|facts| facts.notes)
}

fn text_of(path: &Path, environment: &Environment) -> Result<(String, PathBuf), Vec<Complaint>> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    if let Err(error) = read {
        return Err(vec![Complaint::of_file(format!("cannot be read: {error}"))]);
    }
    let file = environment.folder().join(path);
    Ok((text, file.parent().unwrap_or_else(|| environment.folder()).to_owned()))
}

/// Reads a text; relative paths in it start at `folder`.
///
/// # Errors
/// All mistakes of shape and of meaning, in the order of the text.
pub fn load(text: &str, folder: &Path, environment: &Environment) -> Result<Facts, Vec<Complaint>> {
    read(text, folder, environment).judged()
}

/// A LiteLLM configuration as one of ours, as text, and what could not be carried over.
///
/// # Errors
/// The file cannot be read, is not YAML, is not LiteLLM's, or would be served open to all who should have a key.
pub fn import_litellm(path: &Path, environment: &Environment) -> Result<(String, Vec<Complaint>), Vec<Complaint>> {
    let (text, _) = text_of(path, environment)?;
    let document = yaml::read(&text)?;
    if !litellm::is_one(&document) {
        return Err(vec![Complaint::of_file("this is not a configuration of LiteLLM's proxy: it has no `model_list`")]);
    }
    let carried = litellm::carry(&document, environment);
    if !carried.missing.is_empty() {
        return Err(carried.missing);
    }
    Ok((emit::yaml(&carried.document.value), carried.notes))
}

/// What was read: facts as far as there are any, and what is wrong.
#[derive(Default)]
struct Reading {
    document: Document,
    facts: Option<Facts>,
    complaints: Vec<Complaint>,
}

impl Reading {
    /// The facts, if nothing is wrong.
    fn judged(self) -> Result<Facts, Vec<Complaint>> {
        let Self { facts, mut complaints, .. } = self;
        complaints.sort_by(|a, b| (a.mark, &a.path).cmp(&(b.mark, &b.path)));
        complaints.dedup();
        facts.filter(|_| complaints.is_empty()).ok_or(complaints)
    }
}

fn read(text: &str, folder: &Path, environment: &Environment) -> Reading {
    let (document, mut complaints) = yaml::read_all(text);
    let Some(mut document) = document else { return Reading { complaints, ..Reading::default() } };
    let mut notes = Vec::new();
    if litellm::is_one(&document) {
        let carried = litellm::carry(&document, environment);
        complaints.extend(carried.missing);
        (document, notes) = (carried.document, carried.notes);
    }
    schema::settle_empty(&mut document);
    let (of_shape, rest) = schema::judge(&document);
    // What could not be read has been told.
    let unread = complaints.clone();
    complaints.extend(of_shape.into_iter().filter(|new| !unread.iter().any(|old| old.mark == new.mark)));
    let (root, misfits) = shape(rest, &document);
    complaints.extend(misfits);
    let facts = root.map(|root| {
        let (mut facts, of_meaning) = resolve(&root, Surroundings { document: &document, environment, folder });
        complaints.extend(of_meaning);
        facts.notes = notes;
        facts
    });
    Reading { document, facts, complaints }
}

/// The file in its shape, less the parts that do not fit it although the schema lets them pass: JSON Schema takes `2.0` for a whole
/// number, and does not know how large ours may be.
fn shape(mut rest: Value, document: &Document) -> (Option<Root>, Vec<Complaint>) {
    const MOST: usize = 64;
    let mut complaints = Vec::new();
    while complaints.len() < MOST {
        let error = match serde_path_to_error::deserialize(&rest) {
            Ok(root) => return (Some(root), complaints),
            Err(error) => error,
        };
        let pointer = pointer(error.path());
        let message = match rest.pointer(&pointer) {
            Some(Value::Number(number)) => format!("{number} is not a whole number that can stand here"),
            _ => error.inner().to_string(),
        };
        complaints.push(Complaint { mark: document.mark(&pointer), path: yaml::readable(&pointer), message, hint: None });
        if pointer.is_empty() {
            break;
        }
        schema::cut(&mut rest, &pointer);
    }
    (None, complaints)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", yaml::escape(key))),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(part).collect()
}
