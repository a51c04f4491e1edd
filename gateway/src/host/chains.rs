//! The chain that a request passes: what the operator puts before all, what its key brings, what its route has.
//!
//! Apart because here alone three lists become one, when the host is built: a request finds its chain linked. It must not know how a
//! plugin is loaded or a route is answered.

use std::sync::Arc;

use gatewright_plugins::{Chain, DeclaredTool, Mode, Plugin};
use gatewright_types::{Extras, ToolDefinition};
use serde_json::value::RawValue;

use super::build::Builder;
use super::route::{Plugins, RouteTools};
use crate::config::facts::ToolLoopFact;
use crate::life::ears::Ears;

impl Builder<'_> {
    /// The chain of a key's list and a route's own (`None`: the default), after the global plugins. What is named more than once
    /// stands where it is named first; what is off is left out. The configuration has checked the names.
    pub(super) fn plugins(&mut self, of_key: &[String], of_route: Option<&Vec<String>>) -> Plugins {
        let facts = self.facts;
        let mut names: Vec<String> = Vec::new();
        for name in facts.global_plugins.iter().chain(of_key).chain(of_route.unwrap_or(&facts.default_plugins)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        if let Some(known) = self.linked.get(&names) {
            return known.clone();
        }
        let plugins = self.link(&names);
        self.linked.insert(names, plugins.clone());
        plugins
    }

    fn link(&self, names: &[String]) -> Plugins {
        let acting: Vec<&Arc<Plugin>> = names.iter().filter_map(|name| self.loaded.get(name)).collect();
        if acting.is_empty() {
            return Plugins::default();
        }
        let all = || acting.iter().map(|plugin| &***plugin);
        let enforced = || all().filter(|plugin| plugin.mode() == Mode::Enforce);
        let metrics = acting.iter().map(|plugin| (plugin.name.to_string(), self.shared.metrics.plugin(&plugin.name)));
        Plugins {
            ears: Ears::of(all()),
            enforced_ears: enforced().next().is_some().then(|| Ears::of(enforced())),
            metrics: metrics.collect(),
            names: acting.iter().map(|plugin| plugin.name.to_string()).collect(),
            chain: Some(Chain::new(acting.iter().map(|plugin| Arc::clone(plugin)).collect())),
        }
    }

    /// The tools of a chain, as a route offers them.
    pub(super) fn tools(&mut self, plugins: &Plugins, fact: ToolLoopFact) -> Option<RouteTools> {
        let declared = plugins.chain.as_ref().map(Chain::tools).unwrap_or_default();
        let tools = declared.into_iter().filter_map(|tool| match definition(&tool) {
            Some(definition) => Some(definition),
            None => {
                self.problems.push(format!("tool `{}`: its parameters are not JSON", tool.name));
                None
            }
        });
        let tools: Vec<_> = tools.collect();
        (!tools.is_empty()).then_some(RouteTools { fact, tools })
    }
}

fn definition(tool: &DeclaredTool) -> Option<ToolDefinition> {
    Some(ToolDefinition {
        name: tool.name.clone(),
        description: Some(tool.description.clone()),
        parameters: Some(RawValue::from_string(tool.parameters.clone()).ok()?),
        function_extras: Extras::new(),
        extras: Extras::new(),
    })
}
