//! What a component imports that this host does not have: it loads all the same, and whatever of it is called traps.
//!
//! Apart because it is neither the contract nor WASI. It must not stand in the way of what the linker has: wasmtime takes an interface of
//! ours for any version that is compatible with the one we serve, and a stub under the very name would hide it.

use wasmtime::Result;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};

use super::exports::VERSION;
use super::fault::Missing;
use super::state::State;

/// Interfaces that are served, and what is before and after their names.
const SERVED: [&str; 7] = ["types", "log", "settings", "store", "fetch", "model", "metrics"];
const BEFORE: &str = "gatewright:plugin/";
const SERIES: &str = "0.1.";

/// Gives a component all that it imports and the linker has not.
pub(super) fn trap(linker: &mut Linker<State>, component: &Component) -> Result<()> {
    let kind = component.component_type();
    for (name, import) in kind.imports(component.engine()) {
        match import.ty {
            ComponentItem::ComponentInstance(interface) => {
                let mut instance = linker.instance(&home(name))?;
                for (item, export) in interface.exports(component.engine()) {
                    stub(&mut instance, item, (export.ty, format!("{name}#{item}")));
                }
            }
            item => stub(&mut linker.root(), name, (item, name.to_owned())),
        }
    }
    Ok(())
}

/// Under which name the linker has an interface.
fn home(name: &str) -> String {
    let ours = name.strip_prefix(BEFORE).and_then(|name| name.split_once('@'));
    // What was not released is compatible with nothing.
    let released = |version: &str| version.starts_with(SERIES) && !version.contains('-');
    match ours.filter(|(interface, version)| SERVED.contains(interface) && released(version)) {
        Some((interface, _)) => format!("{BEFORE}{interface}@{VERSION}"),
        None => name.to_owned(),
    }
}

/// One item. The linker refuses what it has already, and keeps it.
fn stub(linker: &mut LinkerInstance<'_, State>, name: &str, (item, told): (ComponentItem, String)) {
    let _ = match item {
        ComponentItem::ComponentFunc(_) => {
            let missing = Missing(told);
            linker.func_new(name, move |_, _, _, _| Err(wasmtime::Error::new(missing.clone())))
        }
        ComponentItem::Resource(_) => linker.resource(name, ResourceType::host::<()>(), |_, _| Ok(())),
        _ => Ok(()),
    };
}
