//! Opens the models of the embedded engine that a configuration names, and gives up those that none names any more.
//!
//! Apart because it is the only part of serving that a build without the engine lacks. It must not know how a model answers.

use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crate::config::facts::{Facts, ModelFact};
use crate::host::{Host, OpenModel, Shared};
use crate::upstreams::Upstream;

/// Files of a model's folder that are looked at.
const MAX_FILES: usize = 10_000;

/// Builds a host with the models that its facts name: what is open and still the same is kept, the others are opened. Blocking.
///
/// # Errors
/// Every model that cannot be opened, or else why the host cannot be built; the models that were open are then those that are.
pub(crate) fn host(facts: Facts, shared: &Arc<Shared>) -> Result<Host, Vec<String>> {
    for note in &facts.notes {
        tracing::warn!("the configuration has what is not carried over: {note}");
    }
    let device = facts.device;
    renew(facts, shared, |model| one(model, device, shared))
}

fn renew(
    facts: Facts,
    shared: &Arc<Shared>,
    open: impl Fn(&ModelFact) -> Result<Arc<dyn Upstream>, String>,
) -> Result<Host, Vec<String>> {
    let before = shared.engines.all();
    let mut problems = Vec::new();
    for model in facts.models.values() {
        let files = fingerprint(model);
        let same = |opened: &OpenModel| opened.fact == *model && opened.files == files;
        if before.get(&model.name).is_some_and(same) {
            continue;
        }
        match open(model) {
            Ok(upstream) => shared.engines.add(OpenModel { fact: model.clone(), files, upstream }),
            Err(problem) => problems.push(format!("model `{}`: {problem}", model.name)),
        }
    }
    let built = match problems.is_empty() {
        true => Host::build(facts, shared).map_err(|error| error.0),
        false => Err(problems),
    };
    match &built {
        Ok(host) => shared.engines.keep(|name| host.facts.models.contains_key(name)),
        Err(_) => shared.engines.put_back(before),
    }
    built
}

/// What a model's files are and its adapters', as far as can be told without reading gigabytes: names, sizes and times of a folder's, contents of
/// those that are packed. What cannot be looked at is for the engine to complain of.
fn fingerprint(model: &ModelFact) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for folder in model.adapters.values().chain(&model.folder) {
        let mut files = files_of(folder).unwrap_or_default();
        files.sort();
        hasher.update(&(files.len() as u64).to_le_bytes());
        for (name, size, changed) in files {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
            hasher.update(&size.to_le_bytes()).update(&changed.to_le_bytes());
        }
    }
    match &model.folder {
        Some(_) => {}
        None => {
            for (name, bytes) in crate::packed::demo().unwrap_or_default() {
                hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
                hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
            }
        }
    }
    *hasher.finalize().as_bytes()
}

/// Name, bytes, and nanoseconds of the last change of each file of a folder, or of the one file.
fn files_of(model: &Path) -> std::io::Result<Vec<(String, u64, u128)>> {
    // Links are followed: model folders are often made of them.
    let one = |path: &Path| {
        let file = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let changed = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        Some((path.file_name()?.to_string_lossy().into_owned(), file.len(), changed.as_nanos()))
    };
    if let Some(file) = one(model) {
        return Ok(vec![file]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(model)?.take(MAX_FILES) {
        files.extend(one(&entry?.path()));
    }
    Ok(files)
}

#[cfg(not(feature = "engine"))]
fn one(_: &ModelFact, _: gatewright_types::DeviceChoice, _: &Arc<Shared>) -> Result<Arc<dyn Upstream>, String> {
    Err("this build has no embedded engine".to_owned())
}

#[cfg(feature = "engine")]
fn one(model: &ModelFact, device: gatewright_types::DeviceChoice, shared: &Arc<Shared>) -> Result<Arc<dyn Upstream>, String> {
    use crate::upstreams::engine::EngineUpstream;
    use gatewright_engine::{Engine, EngineOptions, ModelFiles};

    let files = match &model.folder {
        Some(folder) => ModelFiles::Folder(folder.clone()),
        None => ModelFiles::Packed(crate::packed::demo().ok_or("this build was made without the demo model")?),
    };
    let ModelFact { max_running, max_waiting, kv_bytes, prefix_bytes, quantize, template, yarn, .. } = *model;
    let adapters = model.adapters.clone();
    let options = EngineOptions { device, max_running, max_waiting, kv_bytes, prefix_bytes, quantize, yarn, template, adapters };
    let engine = Engine::open(&files, &options).map_err(|error| error.to_string())?;
    tracing::info!(model = model.name, device = engine.device(), "model opened");
    Ok(Arc::new(EngineUpstream::new(model.name.clone(), engine, shared.clock.clone())))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::life::kit::{Kit, Scripted};

    /// Builds a host of these facts; which models were opened for it.
    fn opened(facts: &Facts, shared: &Arc<Shared>) -> (Result<Host, Vec<String>>, Vec<String>) {
        let opened = RefCell::new(Vec::new());
        let open = |model: &ModelFact| {
            opened.borrow_mut().push(model.name.clone());
            Ok(Arc::new(Scripted::default()) as Arc<dyn Upstream>)
        };
        let built = renew(facts.clone(), shared, open);
        (built, opened.into_inner())
    }

    #[test]
    fn a_model_is_opened_anew_when_it_changed_and_given_up_when_it_is_named_no_more() {
        let mut kit = Kit::new();
        let shared = Arc::clone(&kit.host().shared);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), "1").unwrap();
        let mut facts = kit.facts.clone();
        facts.routes.clear();
        for name in ["a", "b"] {
            let fact = ModelFact {
                name: name.into(),
                folder: Some(folder.path().into()),
                max_running: 1,
                max_waiting: 1,
                kv_bytes: 1 << 20,
                prefix_bytes: None,
                quantize: None,
                template: Default::default(),
                yarn: Default::default(),
                adapters: Default::default(),
            };
            facts.models.insert(name.into(), fact);
        }
        let (host, names) = opened(&facts, &shared);
        assert_eq!(names, ["a", "b"]);
        let digest = |host: &Host, model: &str| host.route(None, model).unwrap().legs.digest;
        let first = digest(&host.unwrap(), "b");
        assert!(opened(&facts, &shared).1.is_empty(), "nothing changed");
        facts.models.get_mut("a").unwrap().max_running = 2;
        assert_eq!(opened(&facts, &shared).1, ["a"]);
        // Other weights give other answers: the cache must not know them.
        std::fs::write(folder.path().join("model.safetensors"), "22").unwrap();
        let (host, names) = opened(&facts, &shared);
        assert_eq!(names, ["a", "b"]);
        assert_ne!(digest(&host.unwrap(), "b"), first);
        facts.models.remove("b");
        assert!(opened(&facts, &shared).0.unwrap().route(None, "b").is_none());
        assert_eq!(shared.engines.all().into_keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_model_of_one_file_is_opened_anew_when_that_file_changed() {
        let mut kit = Kit::new();
        let shared = Arc::clone(&kit.host().shared);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.gguf");
        std::fs::write(&file, "1").unwrap();
        let fact = ModelFact {
            name: "a".into(),
            folder: Some(file.clone()),
            max_running: 1,
            max_waiting: 1,
            kv_bytes: 1 << 20,
            prefix_bytes: None,
            quantize: None,
            template: Default::default(),
            yarn: Default::default(),
            adapters: Default::default(),
        };
        let mut facts = kit.facts.clone();
        facts.models.insert("a".into(), fact);
        assert_eq!(opened(&facts, &shared).1, ["a"]);
        std::fs::write(folder.path().join("beside.gguf"), "1").unwrap();
        assert!(opened(&facts, &shared).1.is_empty(), "another file is not of it");
        std::fs::write(&file, "22").unwrap();
        assert_eq!(opened(&facts, &shared).1, ["a"]);
    }

    /// An adapter is a name of its model: listed, asked for by the upstream of the model, and another answer for the cache.
    #[test]
    fn an_adapter_is_served_under_its_own_name() {
        let mut kit = Kit::new();
        let shared = Arc::clone(&kit.host().shared);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("adapter_model.safetensors"), "1").unwrap();
        let mut facts = kit.facts.clone();
        facts.routes.clear();
        let mut fact = shared.engines.get("m").unwrap().fact;
        (fact.name, fact.adapters) = ("a".into(), [("tuned".to_owned(), folder.path().to_owned())].into());
        facts.models.insert("a".into(), fact);
        let (host, names) = opened(&facts, &shared);
        assert_eq!(names, ["a"], "opened once");
        let host = host.unwrap();
        assert!(host.models().any(|route| route.name == "tuned"));
        let legs = |host: &Host, model: &str| host.route(None, model).unwrap().legs.legs[0].model.clone();
        let digest = |host: &Host, model: &str| host.route(None, model).unwrap().legs.digest;
        assert_eq!([legs(&host, "a"), legs(&host, "tuned")], ["a", "tuned"]);
        assert_ne!(digest(&host, "a"), digest(&host, "tuned"));
        std::fs::write(folder.path().join("adapter_model.safetensors"), "22").unwrap();
        let (again, names) = opened(&facts, &shared);
        assert_eq!(names, ["a"], "an adapter that changed");
        assert_ne!(digest(&host, "tuned"), digest(&again.unwrap(), "tuned"));
        // The name goes to another model while the one that had it is still open.
        let mut moved = facts.models.remove("a").unwrap();
        moved.name = "b".into();
        facts.models.insert("b".into(), moved);
        let host = opened(&facts, &shared).0.unwrap();
        let upstream = |model: &str| host.route(None, model).unwrap().legs.legs[0].upstream.clone();
        assert!(Arc::ptr_eq(&upstream("tuned"), &upstream("b")));
        assert!(Arc::ptr_eq(&upstream("b"), &shared.engines.get("b").unwrap().upstream));
        facts.models.remove("b");
        assert!(opened(&facts, &shared).0.unwrap().route(None, "tuned").is_none());
    }

    #[test]
    fn a_host_that_cannot_be_built_leaves_the_models_that_were_open() {
        let mut kit = Kit::new();
        let shared = Arc::clone(&kit.host().shared);
        let (template, yarn) = Default::default();
        let fact = |max_running| ModelFact {
            name: "a".into(),
            folder: None,
            max_running,
            max_waiting: 1,
            kv_bytes: 1 << 20,
            prefix_bytes: None,
            quantize: None,
            template,
            yarn,
            adapters: Default::default(),
        };
        let mut facts = kit.facts.clone();
        facts.models.insert("a".into(), fact(1));
        opened(&facts, &shared).0.unwrap();
        facts.models.insert("a".into(), fact(2));
        facts.routes.get_mut("m").unwrap().legs[0].model = "nothing".into();
        let (built, names) = opened(&facts, &shared);
        assert!(built.is_err_and(|problems| problems[0].contains("nothing")));
        assert_eq!((names, shared.engines.get("a").map(|model| model.fact)), (vec!["a".to_owned()], Some(fact(1))));
    }
}
