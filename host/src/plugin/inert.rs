//! What a component may import, linked so that nothing happens.
//!
//! A language's standard library drags in interfaces of WASI whether or not a
//! plugin ever calls them. Those are allowed by name, and behind them is
//! wasmtime's own WASI with nothing in it: no arguments, no environment, an
//! input that has ended, outputs that drop what is written, and a fixed seed
//! for hash tables. A component that imports anything else is refused.
//!
//! Architecture invariants:
//! - Nothing here reads a clock, a file, the network or randomness.
//! - Nothing waits. A plugin's deadline is checked only while its own code
//!   runs, so a call of the host's that waited would outlive it. None of these
//!   has anything to wait for, and [`at_once`] holds them to it.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use wasmtime::{
    Engine,
    component::{Component, Linker, ResourceTable, types::ComponentItem},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{engine::cause, fault::InstallError};

/// Interfaces of WASI that a component may import. All but the last are what
/// Rust's standard library imports; the last comes with its hash tables.
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

/// The versions of them: all that are compatible with what is linked.
const VERSIONS: &str = "0.2.";

/// Interfaces of the contract show as imports where others use their types.
const CONTRACT: &str = "jimo:connect/";

/// The seed of hash tables: the same in each pass, as its output must be.
const SEED: u128 = 7;

/// The streams and the like that an instance may hold at once. A standard
/// library holds a handful; each takes memory of the host's.
const RESOURCES_MAX: usize = 1000;

/// Links all that a component imports, or names what it may not import.
pub(super) fn link<T: WasiView>(
    engine: &Engine,
    component: &Component,
) -> Result<Linker<T>, InstallError> {
    let refused: Vec<String> = component
        .component_type()
        .imports(engine)
        .filter(|(name, import)| !allowed(engine, name, &import.ty))
        .map(|(name, _)| name.to_owned())
        .collect();
    if !refused.is_empty() {
        return Err(InstallError::Imports(refused));
    }
    let mut linker = Linker::new(engine);
    // Not the blocking variant: it drives itself by tokio, which panics where
    // the thread is a runtime's. This one is driven by `at_once`, on any.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)
        .map_err(|error| InstallError::Component(cause(&error)))?;
    Ok(linker)
}

/// Whether a component may import this.
fn allowed(engine: &Engine, name: &str, import: &ComponentItem) -> bool {
    let ComponentItem::ComponentInstance(instance) = import else {
        return false;
    };
    if name.starts_with(CONTRACT) {
        return instance
            .exports(engine)
            .all(|(_, item)| matches!(item.ty, ComponentItem::Type(_)));
    }
    name.split_once('@').is_some_and(|(interface, version)| {
        INTERFACES.contains(&interface)
            && version
                .strip_prefix(VERSIONS)
                .is_some_and(|patch| patch.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// The world as one instance sees it: empty.
pub(super) struct Inert {
    context: WasiCtx,
    resources: ResourceTable,
}

impl Inert {
    pub(super) fn new() -> Self {
        // Unless told otherwise, a context has nothing in it.
        let context = WasiCtx::builder().insecure_random_seed(SEED).build();
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES_MAX);
        Self { context, resources }
    }
}

impl WasiView for Inert {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.context,
            table: &mut self.resources,
        }
    }
}

/// What a call ends with that could only go on later.
#[derive(Debug, thiserror::Error)]
#[error("a call would have waited")]
pub(super) struct Waits;

/// Makes a call of a component, on this thread, whatever thread it is. Calls
/// are asynchronous in form alone: one that would wait is ended instead.
pub(super) fn at_once<T>(call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(Waits.into()),
    }
}

#[cfg(test)]
mod tests {
    use wasmtime_wasi::{cli::WasiCliView, p2::bindings::cli::stdout::Host};

    use super::*;

    #[test]
    fn streams_without_end_are_refused() {
        let mut world = Inert::new();
        for _ in 0..RESOURCES_MAX {
            world.cli().get_stdout().expect("a stream");
        }
        world.cli().get_stdout().expect_err("one too many");
    }

    #[test]
    fn a_call_that_would_wait_is_ended() {
        assert_eq!(at_once(async { Ok(7) }).expect("an answer"), 7);
        let error = at_once(std::future::pending::<wasmtime::Result<()>>());
        assert!(error.expect_err("it waits").is::<Waits>());
    }
}
