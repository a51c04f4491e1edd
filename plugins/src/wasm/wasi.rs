//! What a component made for WASI finds in place of a system: nothing, politely.
//!
//! Toolchains import WASI whatever a guest does, and their start-up code looks at it. So there are no arguments, variables or folders,
//! standard input is at its end, output goes nowhere, whatever can be refused is refused, clocks stand still, nothing is ever waited
//! for, and chance is the same numbers each time. It is apart because it is no part of the contract, and made of the component's own
//! types: it must not know the contract, and reaches nothing real.

use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceAny, ResourceType, Type, Val};
use wasmtime::{Result, StoreContextMut, Trap, bail};

use super::state::State;

/// What all handles are to the host.
struct Nothing;

/// Most bytes that are written nowhere, or made of no chance, at once.
const MOST_BYTES: u64 = 64 << 10;
/// How an error says no, in the words of WASI's interfaces, the fittest first.
const REFUSALS: [&str; 7] =
    ["closed", "access", "access-denied", "not-permitted", "HTTP-request-denied", "unsupported", "not-supported"];

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Refuses where it can, else gives the least that there is.
    Refuse,
    /// Succeeds, and gives the least that there is.
    Succeed,
    /// Takes output.
    Take,
    /// Ends the guest.
    End,
    /// Says that it waited.
    Ready,
    /// So many bytes.
    Bytes,
    /// Numbers.
    Numbers,
    /// The smallest step of a clock.
    Tick,
}

/// Gives a component what it imports of WASI.
pub(super) fn deny(linker: &mut Linker<State>, component: &Component) -> Result<()> {
    let kind = component.component_type();
    for (name, import) in kind.imports(component.engine()) {
        if let (true, ComponentItem::ComponentInstance(interface)) = (name.starts_with("wasi:"), import.ty) {
            stub(&mut linker.instance(name)?, name, &interface, component)?;
        }
    }
    Ok(())
}

fn stub(linker: &mut LinkerInstance<'_, State>, name: &str, interface: &ComponentInstance, component: &Component) -> Result<()> {
    let bare = name.split('@').next().unwrap_or(name);
    for (item, export) in interface.exports(component.engine()) {
        match export.ty {
            ComponentItem::Resource(_) => linker.resource(item, ResourceType::host::<Nothing>(), |_, _| Ok(()))?,
            ComponentItem::ComponentFunc(_) => {
                let deed = Deed::of(bare, item);
                let told = format!("{bare}.{item}");
                linker.func_new(item, move |store, kind, given, answer| match deed {
                    // As a guest that gives up.
                    Deed::End => Err(wasmtime::Error::new(Trap::UnreachableCodeReached).context(told.clone())),
                    _ => deed.perform(store, &kind, (given, answer)),
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

impl Deed {
    fn of(interface: &str, function: &str) -> Self {
        match (interface, function) {
            ("wasi:cli/exit", _) => Self::End,
            ("wasi:io/streams", "[method]output-stream.check-write") => Self::Take,
            (
                "wasi:io/streams",
                "[method]output-stream.write"
                | "[method]output-stream.blocking-write-and-flush"
                | "[method]output-stream.flush"
                | "[method]output-stream.blocking-flush"
                | "[method]output-stream.write-zeroes"
                | "[method]output-stream.blocking-write-zeroes-and-flush",
            ) => Self::Succeed,
            ("wasi:io/poll", "poll" | "[method]pollable.ready") => Self::Ready,
            ("wasi:random/random" | "wasi:random/insecure", "get-random-bytes" | "get-insecure-random-bytes") => Self::Bytes,
            ("wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed", _) => Self::Numbers,
            ("wasi:clocks/monotonic-clock", "resolution") => Self::Tick,
            _ => Self::Refuse,
        }
    }

    fn perform(
        self,
        mut store: StoreContextMut<'_, State>,
        kind: &ComponentFunc,
        (given, answer): (&[Val], &mut [Val]),
    ) -> Result<()> {
        for value in given {
            give_back(value, &mut store)?;
        }
        for (slot, kind) in answer.iter_mut().zip(kind.results()) {
            *slot = match (self, &kind) {
                (Self::Take, Type::Result(_)) => Val::Result(Ok(Some(Box::new(Val::U64(MOST_BYTES))))),
                (Self::Succeed, Type::Result(of)) => {
                    Val::Result(Ok(of.ok().map(|of| least(&of, &mut store)).transpose()?.map(Box::new)))
                }
                (Self::Ready, Type::Bool) => Val::Bool(true),
                (Self::Ready, Type::List(_)) => Val::List(everyone(given)),
                (Self::Bytes, Type::List(_)) => bytes(given, store.data_mut())?,
                (Self::Numbers, Type::U64) => Val::U64(store.data_mut().no_chance()),
                (Self::Numbers, Type::Tuple(of)) => {
                    let numbers = of.types().map(|_| Val::U64(store.data_mut().no_chance()));
                    Val::Tuple(numbers.collect())
                }
                (Self::Tick, Type::U64) => Val::U64(1),
                _ => least(&kind, &mut store)?,
            };
        }
        Ok(())
    }
}

/// A handle that was given, owned or lent, is done with.
fn give_back(value: &Val, store: &mut StoreContextMut<'_, State>) -> Result<()> {
    match value {
        Val::Resource(handle) => Resource::<Nothing>::try_from_resource_any(*handle, store).map(drop),
        Val::List(values) | Val::Tuple(values) => values.iter().try_for_each(|value| give_back(value, store)),
        Val::Option(Some(value)) => give_back(value, store),
        _ => Ok(()),
    }
}

/// The places of all that are waited for.
fn everyone(given: &[Val]) -> Vec<Val> {
    match given {
        [Val::List(waited)] => (0_u32..).zip(waited).map(|(place, _)| Val::U32(place)).collect(),
        _ => Vec::new(),
    }
}

fn bytes(given: &[Val], state: &mut State) -> Result<Val> {
    match given {
        [Val::U64(count)] if *count <= MOST_BYTES => {
            let byte = |_| Val::U8(state.no_chance().to_le_bytes()[0]);
            Ok(Val::List((0..*count).map(byte).collect()))
        }
        _ => bail!("it asks for more than {MOST_BYTES} bytes of chance at once"),
    }
}

/// The least value of a type: a refusal where there is one, else nothing, no, zero, empty.
fn least(kind: &Type, store: &mut StoreContextMut<'_, State>) -> Result<Val> {
    let refusal = |name: &&str| REFUSALS.iter().position(|known| known == name).unwrap_or(usize::MAX);
    Ok(match kind {
        Type::Bool => Val::Bool(false),
        Type::S8 => Val::S8(0),
        Type::U8 => Val::U8(0),
        Type::S16 => Val::S16(0),
        Type::U16 => Val::U16(0),
        Type::S32 => Val::S32(0),
        Type::U32 => Val::U32(0),
        Type::S64 => Val::S64(0),
        Type::U64 => Val::U64(0),
        Type::Float32 => Val::Float32(0.0),
        Type::Float64 => Val::Float64(0.0),
        Type::Char => Val::Char(' '),
        Type::String => Val::String(String::new()),
        Type::List(_) => Val::List(Vec::new()),
        Type::Map(_) => Val::Map(Vec::new()),
        Type::Flags(_) => Val::Flags(Vec::new()),
        Type::Option(_) => Val::Option(None),
        Type::Result(of) => Val::Result(Err(of.err().map(|of| least(&of, store)).transpose()?.map(Box::new))),
        Type::Record(of) => {
            let fields = of.fields().map(|field| Ok((field.name.to_owned(), least(&field.ty, store)?)));
            Val::Record(fields.collect::<Result<_>>()?)
        }
        Type::Tuple(of) => Val::Tuple(of.types().map(|of| least(&of, store)).collect::<Result<_>>()?),
        Type::Enum(of) => Val::Enum(of.names().min_by_key(refusal).unwrap_or_default().to_owned()),
        Type::Variant(of) => {
            let Some(case) = of.cases().min_by_key(|case| refusal(&case.name)) else { bail!("a variant without cases") };
            Val::Variant(case.name.to_owned(), case.ty.map(|of| least(&of, store)).transpose()?.map(Box::new))
        }
        Type::Own(_) => Val::Resource(ResourceAny::try_from_resource(Resource::<Nothing>::new_own(0), store)?),
        _ => bail!("it asks for what this host cannot stand in for"),
    })
}

#[cfg(test)]
mod tests {
    use super::Deed;

    #[test]
    fn what_needs_more_than_a_refusal_is_known_by_name() {
        assert_eq!(Deed::of("wasi:cli/exit", "exit"), Deed::End);
        assert_eq!(Deed::of("wasi:io/streams", "[method]output-stream.check-write"), Deed::Take);
        assert_eq!(Deed::of("wasi:io/streams", "[method]input-stream.read"), Deed::Refuse);
        assert_eq!(Deed::of("wasi:filesystem/types", "[method]descriptor.write"), Deed::Refuse);
        assert_eq!(Deed::of("wasi:random/insecure-seed", "insecure-seed"), Deed::Numbers);
    }
}
