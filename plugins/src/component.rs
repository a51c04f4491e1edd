//! Makes a component of the module that a compiler leaves.
//!
//! Apart from the sandbox because it is the author's step, once, and not the gateway's. It must not know how a component is run, nor which
//! compiler was at work.

use wit_component::ComponentEncoder;

/// What WASM begins with: a magic word, then version and layer, which tell modules from components.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// Sections that say what the module's component is like. All others that are not code are for debuggers.
const KEPT: &[u8] = b"component-type";

/// What is no module of the contract.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// The component of a module that was compiled with the contract's bindings, validated and without what debuggers want. A component is
/// given back as it is.
///
/// # Errors
/// [`Malformed`]: what is wrong with the module.
pub fn component(wasm: &[u8]) -> Result<Vec<u8>, Malformed> {
    if wasm.starts_with(COMPONENT) {
        return Ok(wasm.to_vec());
    }
    let module = stripped(wasm).ok_or_else(|| Malformed("it is no WASM module".to_owned()))?;
    let encoder = ComponentEncoder::default().validate(true).module(&module);
    encoder.and_then(|mut encoder| encoder.encode()).map_err(|error| Malformed(format!("no component comes of it: {error:#}")))
}

/// A module without the sections that only people and debuggers read.
fn stripped(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut rest = wasm.strip_prefix(MODULE)?;
    let mut out = MODULE.to_vec();
    while let [id, after @ ..] = rest {
        let (length, body) = number(after)?;
        let (body, next) = body.split_at_checked(length)?;
        let kept = *id != 0 || number(body).is_some_and(|(_, name)| name.starts_with(KEPT));
        if kept {
            out.extend_from_slice(&rest[..rest.len() - next.len()]);
        }
        rest = next;
    }
    Some(out)
}

/// A number in LEB128, and what follows it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    /// A module with these sections of its own making.
    fn module(names: &[&str]) -> Vec<u8> {
        let mut wasm = MODULE.to_vec();
        for name in names {
            let length = u8::try_from(name.len()).unwrap();
            wasm.extend([0, length + 3, length]);
            wasm.extend(name.bytes().chain([1, 2]));
        }
        wasm
    }

    #[test]
    fn what_debuggers_want_is_left_out() {
        let all = module(&["name", "component-type:plugin", ".debug_info", "producers"]);
        assert_eq!(stripped(&all), Some(module(&["component-type:plugin"])));
        assert_eq!(stripped(b"\0asm\x01\0\0\0\0\x7f\x01"), None, "a section that is longer than the module");
    }

    #[test]
    fn what_is_no_module_is_told() {
        assert!(component(b"hello").unwrap_err().to_string().contains("no WASM module"));
        assert_eq!(component(COMPONENT).unwrap(), COMPONENT);
        // A module that says nothing of the contract is a component that exports nothing.
        assert!(component(MODULE).unwrap().starts_with(COMPONENT));
    }
}
