//! `gatewright plugin build`: makes `plugin.wasm` of a plugin's sources, and sees whether the host takes it.
//!
//! Apart because only authors need compilers; each language's is in a file of its own. It must not know how a component is put
//! together: the plugin host does.

mod javascript;
mod rust;

use std::path::{Path, PathBuf};

use gatewright_plugins::{Host, Plugin, Source};
use serde_json::Value;

use super::super::run::{Failure, Outcome, failed, print};
use super::{author, test};

/// The file that a build leaves.
const BUILT: &str = "plugin.wasm";

/// What a plugin is built of.
enum Sources {
    /// The folder with `Cargo.toml`.
    Rust(PathBuf),
    JavaScript,
    Lua,
}

/// Builds, loads, and says what came of it.
pub(super) fn build(folder: &Path) -> Outcome {
    let built = match sources(folder)? {
        Sources::Rust(at) => Some(rust::build(&at)?),
        Sources::JavaScript => Some(javascript::build(folder, BUILT)?),
        Sources::Lua => None,
    };
    let Some(built) = built else {
        let plugin = load(folder)?;
        return print(&format!("{}: Lua is loaded as it is, there is nothing to build. {}\n", folder.display(), fits(&plugin)));
    };
    let component = gatewright_plugins::component(&built).map_err(|error| failed(&error))?;
    let path = folder.join(BUILT);
    std::fs::write(&path, &component).map_err(|error| failed(&format_args!("{}: {error}", path.display())))?;
    let plugin = load(folder)?;
    print(&format!("{}: {} bytes. {}\n", path.display(), component.len(), fits(&plugin)))
}

fn fits(plugin: &Plugin) -> String {
    format!("It fits the contract.\ndigest: {}", plugin.digest())
}

fn sources(folder: &Path) -> Result<Sources, Failure> {
    let has = |name: &str| folder.join(name).is_file();
    let of_rust = [folder.to_owned(), folder.join("guest")].into_iter().find(|at| at.join("Cargo.toml").is_file());
    match of_rust {
        _ if !has("plugin.yaml") => {
            Err(failed(&format_args!("{} is not a plugin's folder: it has no plugin.yaml", folder.display())))
        }
        Some(at) => Ok(Sources::Rust(at)),
        None if has("package.json") => Ok(Sources::JavaScript),
        None if has("plugin.luau") => Ok(Sources::Lua),
        None => {
            let told = "there is no Cargo.toml (nor guest/Cargo.toml), no package.json and no plugin.luau";
            Err(failed(&format_args!("{}: {told}: nothing to build", folder.display())))
        }
    }
}

/// Loads the plugin with the settings of its first case: its schema may ask for some.
fn load(folder: &Path) -> Result<std::sync::Arc<Plugin>, Failure> {
    let settings = match folder.join("cases").is_dir() {
        true => test::files(folder, None)?.into_iter().flat_map(|file| file.cases).map(|case| case.settings).next(),
        false => None,
    };
    let source = Source::Folder(folder.to_owned());
    Host::new(1).load(&source, &author(settings.unwrap_or(Value::Null))).map_err(|error| failed(&error))
}
