//! The engine that runs components, set up once per process.
//!
//! This file is all that configures wasmtime. Every pass has an instance of
//! its own from a pool, so starting one costs microseconds; a thread ticks
//! while passes run, so that none outlives its deadline. A component is compiled
//! once for as long as any of its versions is in use, however often it is loaded.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
};

use sha2::{Digest, Sha256};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::{
    bindings::{ConnectorPre, definitions::DefinitionsPre},
    call::Exports,
    fault::InstallError,
    inert,
    limits::{Limits, TICK},
    version::Version,
    world,
};
use crate::telemetry::PluginFaults;

/// What every WebAssembly begins with.
const MAGIC: &[u8] = b"\0asm";

/// The engine could not be set up on this machine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration, or the memory that the pool reserves.
    #[error("plugins cannot run on this machine")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The thread that ticks.
    #[error("the thread that ends plugins that run too long could not be started")]
    Thread(#[source] std::io::Error),
}

/// Runs components. One per process: its pool reserves address space.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    faults: PluginFaults,
}

/// What an engine and its versions share.
pub(super) struct Shared {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) limits: Limits,
    passes: Arc<Passes>,
    /// What is compiled, by digest.
    compiled: Mutex<HashMap<String, Weak<Exports>>>,
}

impl Engine {
    /// Sets up an engine, and starts the thread that ticks for it.
    pub fn new(limits: &Limits) -> Result<Self, Error> {
        let wasmtime =
            wasmtime::Engine::new(&config(limits)).map_err(|e| Error::Engine(e.into()))?;
        let passes = Arc::new(Passes::default());
        let ticked = (Arc::clone(&passes), wasmtime.weak());
        thread::Builder::new()
            .name("plugin-ticks".into())
            .spawn(move || {
                let (passes, engine) = ticked;
                while passes.wait_for_some() {
                    thread::sleep(TICK);
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            })
            .map_err(Error::Thread)?;
        Ok(Self {
            shared: Arc::new(Shared {
                wasmtime,
                limits: limits.clone(),
                passes,
                compiled: Mutex::default(),
            }),
            faults: PluginFaults::default(),
        })
    }

    /// The same engine for another host: its versions count their faults apart.
    pub fn apart(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            faults: PluginFaults::default(),
        }
    }

    /// Where its versions count the passes that end in a fault.
    pub fn faults(&self) -> PluginFaults {
        self.faults.clone()
    }

    /// Makes a version of a component: compiles it, where it is not compiled, refuses
    /// what it may not import, runs it for the first time, and checks what it says it
    /// is.
    ///
    /// Any thread will do, one of the runtime's as well. It is kept for as long
    /// as compiling and one call of the component take, so asynchronous code
    /// that others wait beside hands this to `spawn_blocking`.
    pub fn load(&self, component: &[u8]) -> Result<Version, InstallError> {
        let digest = digest(component);
        let exports = match self.shared.compiled(&digest) {
            Some(exports) => exports,
            None => self.shared.keep(&digest, self.compile(component)?),
        };
        Version::new(
            Arc::clone(&self.shared),
            self.faults.clone(),
            exports,
            digest,
        )
    }

    fn compile(&self, component: &[u8]) -> Result<Exports, InstallError> {
        let shared = &self.shared;
        if !component.starts_with(MAGIC) {
            return Err(InstallError::Component("they are no WebAssembly".into()));
        }
        let unusable = |error: wasmtime::Error| InstallError::Component(cause(&error));
        let compiled = wasmtime::component::Component::from_binary(&shared.wasmtime, component)
            .map_err(unusable)?;
        let linker = inert::link(&shared.wasmtime, &compiled)?;
        // The whole chain of reasons: the last alone does not name the import.
        let instances = linker
            .instantiate_pre(&compiled)
            .map_err(|error| InstallError::Component(chain(&error)))?;
        let connector = ConnectorPre::new(instances.clone()).map_err(|error| {
            let strange = world::strange_exports(&shared.wasmtime, &compiled);
            InstallError::Contract(strange.unwrap_or_else(|| chain(&error)))
        })?;
        let definitions = world::has_definitions(&shared.wasmtime, &compiled)
            .then(|| DefinitionsPre::new(instances))
            .transpose()
            .map_err(|error| InstallError::Contract(chain(&error)))?;
        Ok(Exports {
            connector,
            definitions,
            contract: world::contract(&shared.wasmtime, &compiled).unwrap_or_default(),
        })
    }
}

impl Shared {
    /// Waits until a pass may begin; it lasts until what is returned is dropped.
    pub(super) fn begin_pass(&self) -> Running<'_> {
        self.passes.begin(self.limits.passes_max)
    }

    /// A component that is compiled, where any of its versions is in use.
    fn compiled(&self, digest: &str) -> Option<Arc<Exports>> {
        let compiled = self.compiled.lock();
        let compiled = compiled.unwrap_or_else(PoisonError::into_inner);
        compiled.get(digest).and_then(Weak::upgrade)
    }

    /// Remembers a component that was compiled.
    fn keep(&self, digest: &str, exports: Exports) -> Arc<Exports> {
        let exports = Arc::new(exports);
        let compiled = self.compiled.lock();
        let mut compiled = compiled.unwrap_or_else(PoisonError::into_inner);
        compiled.retain(|_, exports| exports.strong_count() > 0);
        // Two may have compiled it at once.
        if let Some(first) = compiled.get(digest).and_then(Weak::upgrade) {
            return first;
        }
        compiled.insert(digest.to_owned(), Arc::downgrade(&exports));
        exports
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.passes.close();
    }
}

/// The SHA-256 digest of a component, in hexadecimal: the name of its version.
pub fn digest(component: &[u8]) -> String {
    let digest = Sha256::digest(component);
    digest.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a text never fails.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// All that is said of what went wrong, from the outside in: the import or export
/// is named by another part than what is wrong with it.
pub(super) fn chain(error: &wasmtime::Error) -> String {
    format!("{error:#}")
}

/// What went wrong, without wasmtime's trace of the component's functions.
pub(super) fn cause(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        // Deadlines. Counting instructions would cost the same and bound no time.
        .epoch_interruption(true)
        // The same input gives the same output on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    config
}

/// The pool that instances come from. Its defaults, for a thousand instances,
/// make so many mappings that a few engines exhaust a process.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    // A component is several modules: its own, and small ones that a compiler
    // adds to connect it to its imports.
    const MODULES_PER_COMPONENT_MAX: u32 = 8;
    const TABLES_PER_COMPONENT_MAX: u32 = 8;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.passes_max)
        .max_core_instances_per_component(MODULES_PER_COMPONENT_MAX)
        .total_core_instances(limits.passes_max * MODULES_PER_COMPONENT_MAX)
        // One memory each, so that the cap on it caps the instance.
        .max_memories_per_component(1)
        .total_memories(limits.passes_max)
        .max_memory_size(limits.memory_bytes_max)
        .max_tables_per_component(TABLES_PER_COMPONENT_MAX)
        .total_tables(limits.passes_max * TABLES_PER_COMPONENT_MAX)
        // Calls run on a stack of their own, which an instance keeps.
        .total_stacks(limits.passes_max)
        // Pages of the last instance are cleared and used again, not given back
        // and faulted in anew: a third of the time of a pass. With large tables
        // kept as well, small passes get slower.
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// The passes that run now.
#[derive(Default)]
struct Passes {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: u32,
    closed: bool,
}

impl Passes {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, running_max: u32) -> Running<'_> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| state.running >= running_max)
            .unwrap_or_else(PoisonError::into_inner);
        state.running += 1;
        if state.running == 1 {
            self.changed.notify_all();
        }
        Running(self)
    }

    /// Waits for a pass; false once the engine is gone.
    fn wait_for_some(&self) -> bool {
        let state = self
            .changed
            .wait_while(self.lock(), |state| state.running == 0 && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        !state.closed
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// A pass that runs.
pub(super) struct Running<'a>(&'a Passes);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::EMBEDDED;

    #[test]
    fn a_component_is_compiled_once_for_as_long_as_a_version_of_it_is_in_use() {
        let engine = Engine::new(&Limits::default()).expect("an engine");
        let first = engine.load(EMBEDDED).expect("a version");
        let digest = first.digest().to_owned();
        let compiled = engine.shared.compiled(&digest).expect("compiled");
        let other = engine.apart().load(EMBEDDED).expect("a version");
        let again = engine.shared.compiled(&digest).expect("compiled");
        assert!(Arc::ptr_eq(&compiled, &again));
        drop((compiled, again, first));
        assert!(engine.shared.compiled(&digest).is_some());
        drop(other);
        assert!(engine.shared.compiled(&digest).is_none());
    }
}
