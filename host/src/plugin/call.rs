//! Instances of a component: made with their limits, called, and ended.

use wasmtime::{ResourceLimiter, Store, WasmBacktrace};
use wasmtime_wasi::{I32Exit, WasiCtxView, WasiView};

use super::{
    bindings::{
        Connector, ConnectorPre,
        definitions::{Definitions, DefinitionsPre},
        exports::jimo::connect as wit,
    },
    definitions::{self, ObjectDefinitions},
    describe::Description,
    engine::{Running, Shared, cause, chain},
    fault::{Fault, InstallError, Nonsense},
    inert::{Inert, Waits, at_once},
    limits::TICK,
};

/// What a component exports, ready to be instantiated.
pub(super) struct Exports {
    pub(super) connector: ConnectorPre<Instance>,
    /// Where it exports that.
    pub(super) definitions: Option<DefinitionsPre<Instance>>,
    /// The version of the contract.
    pub(super) contract: String,
}

impl Exports {
    /// Asks the component what it is.
    pub(super) fn describe(
        &self,
        shared: &Shared,
    ) -> Result<wit::describe::Description, InstallError> {
        let mut call = Call::of_connector(shared, self).map_err(started(InstallError::Describe))?;
        let calls = call.exports.jimo_connect_describe();
        let said = at_once(calls.call_describe(&mut call.store));
        call.checked(said).map_err(InstallError::Describe)
    }

    /// Asks it for its source's properties, where it can say.
    pub(super) fn define(
        &self,
        shared: &Shared,
        description: &Description,
    ) -> Result<Option<Vec<ObjectDefinitions>>, InstallError> {
        let Some(exported) = &self.definitions else {
            return Ok(None);
        };
        let mut call =
            Call::<Definitions>::begin(shared, |store| at_once(exported.instantiate_async(store)))
                .map_err(started(InstallError::Define))?;
        let calls = call.exports.jimo_connect_definitions();
        let said = at_once(calls.call_define(&mut call.store));
        let said = call.checked(said).map_err(InstallError::Define)?;
        let defined = definitions::from_wit(said, description);
        defined.map(Some).map_err(InstallError::Description)
    }
}

/// Why a component could not be asked. What fails before the first call is either
/// the component's own start or a function of another shape than the contract's.
fn started(asked: impl FnOnce(Fault) -> InstallError) -> impl FnOnce(Fault) -> InstallError {
    |fault| match fault {
        Fault::Host(reason) => InstallError::Contract(reason),
        fault => asked(fault),
    }
}

/// An instance, from its making to its end, and what is called of it.
pub(super) struct Call<'a, E> {
    shared: &'a Shared,
    pub(super) exports: E,
    // Dropped before the place in the pool is given to another pass.
    pub(super) store: Store<Instance>,
    _running: Running<'a>,
}

impl<'a> Call<'a, Connector> {
    pub(super) fn of_connector(shared: &'a Shared, exports: &Exports) -> Result<Self, Fault> {
        Self::begin(shared, |store| {
            at_once(exports.connector.instantiate_async(store))
        })
    }
}

impl<'a, E> Call<'a, E> {
    fn begin(
        shared: &'a Shared,
        instantiate: impl FnOnce(&mut Store<Instance>) -> wasmtime::Result<E>,
    ) -> Result<Self, Fault> {
        let limits = &shared.limits;
        let running = shared.begin_pass();
        let instance = Instance {
            memory_bytes_max: limits.memory_bytes_max,
            world: Inert::new(),
        };
        let mut store = Store::new(&shared.wasmtime, instance);
        store.limiter(|instance| instance);
        store.set_hostcall_fuel(limits.output_bytes_max);
        // One more, as the first tick may come at once.
        let ticks = limits.pass_deadline.as_millis().div_ceil(TICK.as_millis()) + 1;
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
        match instantiate(&mut store) {
            Ok(exports) => Ok(Self {
                shared,
                exports,
                store,
                _running: running,
            }),
            Err(error) => {
                Err(plugins_fault(shared, &error).unwrap_or_else(|| Fault::Host(chain(&error))))
            }
        }
    }

    /// Tells why a call failed.
    pub(super) fn checked<T>(&self, answer: wasmtime::Result<T>) -> Result<T, Fault> {
        answer.map_err(|error| {
            plugins_fault(self.shared, &error)
                // What is neither a trap nor a refusal of the host's happened
                // while the answer was read.
                .unwrap_or_else(|| Nonsense::Shape(cause(&error)).into())
        })
    }
}

/// What of an error is a fault that the plugin committed while it ran.
fn plugins_fault(shared: &Shared, error: &wasmtime::Error) -> Option<Fault> {
    if error.is::<MemoryRefused>() {
        return Some(Fault::Memory {
            bytes_max: shared.limits.memory_bytes_max,
        });
    }
    if error.is::<I32Exit>() {
        return Some(Fault::Trap("it exited".into()));
    }
    if error.is::<Waits>() {
        return Some(Fault::Trap("it would have waited".into()));
    }
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => Some(Fault::Deadline(shared.limits.pass_deadline)),
        Some(trap) => {
            let trap = trap.to_string();
            let trap = trap.trim_start_matches("wasm trap: ");
            Some(Fault::Trap(trap.to_owned()))
        }
        // Where the plugin's code was running, an import refused what it was
        // asked, such as to hold more streams than there may be.
        None if error.is::<WasmBacktrace>() => Some(Fault::Trap(cause(error))),
        None => None,
    }
}

/// What the host keeps of one instance: how much it may have, and what it sees.
pub(super) struct Instance {
    memory_bytes_max: usize,
    world: Inert,
}

impl WasiView for Instance {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.world.ctx()
    }
}

/// What a call ends with when more memory was asked for than there is.
#[derive(Debug, thiserror::Error)]
#[error("too much memory was asked for")]
struct MemoryRefused;

impl ResourceLimiter for Instance {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // An error, not a refusal, which a plugin could answer by trying less.
        if desired > self.memory_bytes_max {
            Err(MemoryRefused.into())
        } else {
            Ok(true)
        }
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The pool gives every table a fixed size, and refuses more.
        Ok(true)
    }
}
