//! Opens the models of the embedded engine that a configuration names.
//!
//! Apart because it is the only part of serving that a build without the engine lacks. It must not know how a model answers.

use std::sync::Arc;

use crate::config::facts::Facts;
use crate::host::Shared;

/// Opens the models that are not open yet. Blocking.
///
/// # Errors
/// Every model that cannot be opened, and why.
#[cfg(not(feature = "engine"))]
pub(crate) fn open(facts: &Facts, shared: &Arc<Shared>) -> Result<(), Vec<String>> {
    let _ = shared;
    match facts.models.is_empty() {
        true => Ok(()),
        false => Err(vec!["this build has no embedded engine".to_owned()]),
    }
}

/// Opens the models that are not open yet. Blocking.
///
/// # Errors
/// Every model that cannot be opened, and why.
#[cfg(feature = "engine")]
pub(crate) fn open(facts: &Facts, shared: &Arc<Shared>) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    for model in facts.models.values().filter(|model| shared.engines.get(&model.name).is_none()) {
        match one(model, facts, shared) {
            Ok(upstream) => shared.engines.add(model.name.clone(), upstream),
            Err(problem) => problems.push(format!("model `{}`: {problem}", model.name)),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

#[cfg(feature = "engine")]
fn one(
    model: &crate::config::facts::ModelFact,
    facts: &Facts,
    shared: &Arc<Shared>,
) -> Result<Arc<dyn crate::upstreams::Upstream>, String> {
    use crate::upstreams::engine::EngineUpstream;
    use gatewright_engine::{Engine, EngineOptions, ModelFiles};

    let files = match &model.folder {
        Some(folder) => ModelFiles::Folder(folder.clone()),
        None => ModelFiles::Packed(crate::packed::demo().ok_or("this build was made without the demo model")?),
    };
    let options = EngineOptions {
        device: facts.device,
        max_running: model.max_running,
        max_waiting: model.max_waiting,
        kv_bytes: model.kv_bytes,
    };
    let engine = Engine::open(&files, &options).map_err(|error| error.to_string())?;
    tracing::info!(model = model.name, device = engine.device(), "model opened");
    Ok(Arc::new(EngineUpstream::new(model.name.clone(), engine, shared.clock.clone())))
}
