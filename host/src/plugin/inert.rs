//! The imports that a component may have, linked so that nothing happens.
//!
//! A language's standard library drags in interfaces of WASI whether or not a
//! plugin ever calls them. They are all here by name, and only what a library
//! calls unasked is answered: there are no arguments and no environment, what
//! is written to standard output or error is dropped, and the seed of hash
//! tables is fixed. Any other call ends the pass.
//!
//! Architecture invariant: nothing here reads a clock, a file, the network or
//! randomness, and nothing waits. A plugin that could wait on a clock would
//! outlive its deadline, which is checked only while its own code runs.

use wasmtime::{
    Engine, StoreContextMut,
    component::{
        Component, Linker, Resource, ResourceAny, ResourceType, Val,
        types::{ComponentInstance, ComponentItem},
    },
};

use super::fault::InstallError;

/// Interfaces that a component may import, of any version that it likes: they
/// do nothing in each. All but the last are what Rust's standard library
/// imports; the last comes with its hash tables.
const INTERFACES: [&str; 14] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure-seed",
];

/// Interfaces of the contract show as imports where others use their types.
const CONTRACT: &str = "jimo:connect/";

/// What an output stream takes at once.
const WRITE_BYTES_MAX: u64 = 64 << 10;

/// The one type behind all resources that are handed out: it holds nothing.
struct Nothing;

/// What a call of an import that plugins may not call ends the pass with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ForbiddenCall(pub(super) String);

/// Links all that a component imports, or names what it may not import.
pub(super) fn link<T: 'static>(
    engine: &Engine,
    component: &Component,
) -> Result<Linker<T>, InstallError> {
    let mut linker = Linker::new(engine);
    let mut refused = Vec::new();
    for (name, import) in component.component_type().imports(engine) {
        let interface = name.split('@').next().unwrap_or(name);
        let allowed = match &import.ty {
            ComponentItem::ComponentInstance(instance) if INTERFACES.contains(&interface) => {
                link_inert(engine, &mut linker, name, interface, instance)
                    .map_err(|error| InstallError::Component(error.root_cause().to_string()))?
            }
            ComponentItem::ComponentInstance(instance) if name.starts_with(CONTRACT) => instance
                .exports(engine)
                .all(|(_, item)| matches!(item.ty, ComponentItem::Type(_))),
            _ => false,
        };
        if !allowed {
            refused.push(name.to_owned());
        }
    }
    if refused.is_empty() {
        Ok(linker)
    } else {
        Err(InstallError::Imports(refused))
    }
}

/// Links one interface; false where it holds what no interface of WASI has.
fn link_inert<T: 'static>(
    engine: &Engine,
    linker: &mut Linker<T>,
    name: &str,
    interface: &str,
    instance: &ComponentInstance,
) -> wasmtime::Result<bool> {
    let mut linker = linker.instance(name)?;
    for (item_name, item) in instance.exports(engine) {
        match item.ty {
            ComponentItem::Type(_) => {}
            ComponentItem::Resource(_) => {
                linker.resource(item_name, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
            }
            ComponentItem::ComponentFunc(_) => {
                let answer = answer(interface, item_name);
                let call = format!("{name}#{item_name}");
                linker.func_new(item_name, move |mut store, _, arguments, results| {
                    release(&mut store, arguments)?;
                    let answer = match &answer {
                        Some(Answer::Nothing) => return Ok(()),
                        Some(Answer::Value(value)) => value.clone(),
                        Some(Answer::Resource) => {
                            let resource = Resource::<Nothing>::new_own(0);
                            Val::Resource(ResourceAny::try_from_resource(resource, &mut store)?)
                        }
                        Some(Answer::AllIndexes) => all_indexes(arguments),
                        None => return Err(ForbiddenCall(call.clone()).into()),
                    };
                    match results {
                        [result] => *result = answer,
                        _ => return Err(ForbiddenCall(call.clone()).into()),
                    }
                    Ok(())
                })?;
            }
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Lets go of the resources that a call was given.
fn release<T: 'static>(store: &mut StoreContextMut<'_, T>, given: &[Val]) -> wasmtime::Result<()> {
    for value in given {
        match value {
            Val::Resource(resource) => resource.resource_drop(&mut *store)?,
            // Lists of lists of resources are in none of the interfaces.
            Val::List(values) if matches!(values.first(), Some(Val::Resource(_))) => {
                release(store, values)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a call is answered.
enum Answer {
    /// That it returned.
    Nothing,
    /// Always this.
    Value(Val),
    /// A resource that holds nothing.
    Resource,
    /// That all it was given is ready.
    AllIndexes,
}

/// The answer of a function; none where calling it ends the pass.
fn answer(interface: &str, function: &str) -> Option<Answer> {
    let value = match (interface, function) {
        ("wasi:cli/environment", "get-environment" | "get-arguments") => Val::List(Vec::new()),
        ("wasi:cli/environment", "initial-cwd") => Val::Option(None),
        (
            "wasi:cli/terminal-stderr" | "wasi:cli/terminal-stdin" | "wasi:cli/terminal-stdout",
            _,
        ) => Val::Option(None),
        ("wasi:random/insecure-seed", _) => Val::Tuple(vec![Val::U64(7), Val::U64(7)]),
        // Output is dropped, so its streams are always ready for more.
        ("wasi:cli/stderr", "get-stderr")
        | ("wasi:cli/stdout", "get-stdout")
        | ("wasi:io/streams", "[method]output-stream.subscribe") => return Some(Answer::Resource),
        ("wasi:io/streams", "[method]output-stream.check-write") => {
            Val::Result(Ok(Some(Box::new(Val::U64(WRITE_BYTES_MAX)))))
        }
        (
            "wasi:io/streams",
            "[method]output-stream.write"
            | "[method]output-stream.blocking-write-and-flush"
            | "[method]output-stream.flush"
            | "[method]output-stream.blocking-flush",
        ) => Val::Result(Ok(None)),
        ("wasi:io/poll", "[method]pollable.ready") => Val::Bool(true),
        ("wasi:io/poll", "[method]pollable.block") => return Some(Answer::Nothing),
        ("wasi:io/poll", "poll") => return Some(Answer::AllIndexes),
        _ => return None,
    };
    Some(Answer::Value(value))
}

/// The indexes of a list that a call was given.
fn all_indexes(arguments: &[Val]) -> Val {
    match arguments {
        [Val::List(list)] => Val::List((0..).zip(list).map(|(index, _)| Val::U32(index)).collect()),
        _ => Val::List(Vec::new()),
    }
}
