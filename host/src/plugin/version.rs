//! One compiled component, and the calls of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use wasmtime::{ResourceLimiter, Store, WasmBacktrace};
use wasmtime_wasi::{I32Exit, WasiCtxView, WasiView};

use super::{
    bindings::{Connector, ConnectorPre, exports::jimo::connect as wit},
    check, convert,
    describe::{BodyDescription, Description},
    elements::{Element, SplitError, split},
    engine::{Running, Shared, cause, chain},
    fault::{Fault, InstallError, Nonsense, shown},
    inert::{Inert, Waits, at_once},
    limits::TICK,
    pass::{
        BodyKind, Conversion, NeededProperties, Outcome, Pass, PassOutput, RuleError, StoredText,
        SuitableTypes,
    },
    values,
};
use crate::model::{MatchingRule, ObjectType, PropertyDefinition, Selection};

/// One version of a plugin: a compiled component, named by its digest. It may
/// be used by several threads at once.
///
/// Every call of the component runs on the caller's thread, which may be any,
/// one of the runtime's as well: calls need no runtime, and none is entered.
/// Yet they keep the thread for as long as a pass may take, and before that
/// until one may begin, so asynchronous code hands them to `spawn_blocking`.
pub struct Version {
    shared: Arc<Shared>,
    connector: ConnectorPre<Instance>,
    digest: String,
    description: Description,
    passes: AtomicU64,
    failed: AtomicU64,
}

/// How often a version was asked, and how often that came to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passes, and conversions of what was kept; not those of a replay.
    pub passes: u64,
    /// Those that faulted, by the plugin's doing, or in which it refused more
    /// than half of the elements, and bodies in which its description found nothing.
    pub failed: u64,
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Description {
            connector, version, ..
        } = &self.description;
        f.debug_struct("Version")
            .field("connector", connector)
            .field("version", version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Version {
    pub(super) fn new(
        shared: Arc<Shared>,
        connector: ConnectorPre<Instance>,
        digest: String,
        description: Description,
    ) -> Self {
        Self {
            shared,
            connector,
            digest,
            description,
            passes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Asks a component what it is.
    pub(super) fn describe(
        shared: &Shared,
        connector: &ConnectorPre<Instance>,
    ) -> Result<wit::describe::Description, InstallError> {
        // What fails before the first call is either the component's own start
        // or a function of another shape than the contract's.
        let mut call = Call::begin(shared, connector).map_err(|fault| match fault {
            Fault::Host(reason) => InstallError::Contract(reason),
            fault => InstallError::Describe(fault),
        })?;
        let calls = call.connector.jimo_connect_describe();
        let said = at_once(calls.call_describe(&mut call.store));
        call.checked(said).map_err(InstallError::Describe)
    }

    /// Asks the component once more what it is.
    pub(super) fn describe_again(&self) -> Result<Result<Description, String>, InstallError> {
        Self::describe(&self.shared, &self.connector).map(Description::from_wit)
    }

    /// How often it was asked so far, by this process.
    pub fn tally(&self) -> Tally {
        Tally {
            passes: self.passes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Counts what came of asking.
    fn count(&self, failed: bool) {
        self.passes.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(failed.into(), Ordering::Relaxed);
    }

    /// Counts a body in which its description finds no element of anybody's, as a
    /// pass that failed: the host reads by what the component says.
    pub fn found_nothing(&self) {
        self.count(true);
    }

    /// Splits what a read answered, where the description says that elements stand.
    /// An answer that has none there counts as a pass that failed.
    pub fn split_answer<'b>(
        &self,
        answer: &'b [u8],
        at: &BodyDescription,
    ) -> Result<Vec<Element<'b>>, SplitError> {
        let elements = split(answer, at);
        if matches!(elements, Err(SplitError::NoElements)) {
            self.found_nothing();
        }
        elements
    }

    /// What the component says it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The SHA-256 digest of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The most bytes of elements that one pass takes.
    pub fn elements_bytes_max(&self) -> usize {
        self.shared.limits.elements_bytes_max
    }

    /// Runs one pass in a fresh instance, within the limits. It panics on no
    /// thread, and [keeps it](Self) until the pass has ended.
    ///
    /// Moments of the source's clock that are beyond receipt by more than the
    /// skew allowed are answered as the latest that may be: a fast clock is
    /// not the plugin's fault. Only moments of no calendar are.
    pub fn run(&self, pass: &Pass<'_>) -> Result<PassOutput, Fault> {
        let output = self.try_run(pass);
        match &output {
            Ok(output) => self.count(output.refusals.len() * 2 > pass.element_count),
            Err(fault) if fault.is_the_plugins() => self.count(true),
            Err(_) => {}
        }
        output
    }

    /// [`run`](Self::run), of what was set aside, and uncounted: what failed before
    /// says nothing new of a version, however often somebody asks for it.
    pub fn run_again(&self, pass: &Pass<'_>) -> Result<PassOutput, Fault> {
        self.try_run(pass)
    }

    fn try_run(&self, pass: &Pass<'_>) -> Result<PassOutput, Fault> {
        let limits = &self.shared.limits;
        if pass.elements.len() > limits.elements_bytes_max {
            return Err(Fault::Oversized {
                bytes: pass.elements.len(),
                bytes_max: limits.elements_bytes_max,
            });
        }
        let received_max = pass.received_at.plus(limits.clock_skew_max);
        let mut checks = check::Checks::new(pass, &self.description, received_max);
        let mut call = self.begin()?;
        let mut output = PassOutput::default();

        let parse = call.connector.jimo_connect_parse();
        let kind = convert::body_kind(&pass.body);
        let parsed = at_once(parse.call_parse(&mut call.store, &kind, pass.elements));
        let parsed = call.checked(parsed)?.map_err(|error| match error {
            wit::parse::ParseError::NotAnArray(reason) => Fault::Refused(shown(&reason)),
            wit::parse::ParseError::UnsupportedKind => {
                Fault::Refused("it does not read this kind of body".into())
            }
        })?;
        let calls = call.connector.jimo_connect_parse();
        let refusals = at_once(calls.parsed().call_refusals(&mut call.store, parsed));
        output.refusals = checks.refusals(call.checked(refusals)?)?;
        match &pass.body {
            BodyKind::Delivery | BodyKind::JournalFile => {
                let interests: Vec<_> = pass.interests.iter().map(convert::interest).collect();
                let calls = call.connector.jimo_connect_parse();
                let calls = calls.parsed();
                let changes = at_once(calls.call_changes(&mut call.store, parsed, &interests));
                output.changes = checks.changes(call.checked(changes)?)?;
            }
            BodyKind::Records(_) => {
                let properties = checks.properties().iter().map(ToString::to_string);
                let properties: Vec<String> = properties.collect();
                let calls = call.connector.jimo_connect_parse();
                let calls = calls.parsed();
                let records = at_once(calls.call_records(&mut call.store, parsed, &properties));
                output.records = checks.records(call.checked(records)?)?;
            }
            BodyKind::Associations { .. } => {
                let calls = call.connector.jimo_connect_parse();
                let sets = at_once(calls.parsed().call_associations(&mut call.store, parsed));
                output.associations = checks.associations(call.checked(sets)?)?;
            }
        }
        for conversion in pass.conversions {
            let (fields, tables) = convert::conversion(conversion);
            let calls = call.connector.jimo_connect_transform();
            let converted = calls.call_convert(&mut call.store, parsed, &fields, &tables);
            let converted = at_once(converted);
            let converted = call.checked(converted)?;
            output.converted.push(values::converted(
                converted,
                &conversion.fields,
                &checks,
                &output,
            )?);
        }
        for (object_type, rule) in pass.rules {
            // For anything but a page of this type there can be no keys.
            if !matches!(&pass.body, BodyKind::Records(of) if of == object_type) {
                output.keys.push(Vec::new());
                continue;
            }
            let rule = convert::matching_rule(object_type, rule);
            let calls = call.connector.jimo_connect_matching();
            let keys = at_once(calls.call_match_keys(&mut call.store, parsed, &rule));
            output.keys.push(checks.keys(call.checked(keys)?)?);
        }
        Ok(output)
    }

    /// Converts texts that were kept from earlier bodies: one outcome each, in
    /// order, equal to what a pass would have said. It panics on no thread, and
    /// [keeps it](Self) for as long as a pass.
    pub fn convert_stored(
        &self,
        texts: &[StoredText],
        conversion: &Conversion,
    ) -> Result<Vec<Outcome>, Fault> {
        let outcomes = self.try_convert_stored(texts, conversion);
        match &outcomes {
            Ok(_) => self.count(false),
            Err(fault) if fault.is_the_plugins() => self.count(true),
            Err(_) => {}
        }
        outcomes
    }

    /// [`convert_stored`](Self::convert_stored), uncounted.
    pub fn convert_stored_again(
        &self,
        texts: &[StoredText],
        conversion: &Conversion,
    ) -> Result<Vec<Outcome>, Fault> {
        self.try_convert_stored(texts, conversion)
    }

    fn try_convert_stored(
        &self,
        texts: &[StoredText],
        conversion: &Conversion,
    ) -> Result<Vec<Outcome>, Fault> {
        let limits = &self.shared.limits;
        let bytes = texts.iter().map(|text| text.text.len()).sum();
        if bytes > limits.elements_bytes_max {
            return Err(Fault::Oversized {
                bytes,
                bytes_max: limits.elements_bytes_max,
            });
        }
        let said: Vec<_> = texts.iter().map(convert::stored_text).collect();
        let (fields, tables) = convert::conversion(conversion);
        let mut call = self.begin()?;
        let calls = call.connector.jimo_connect_transform();
        let outcomes = calls.call_convert_stored(&mut call.store, &said, &fields, &tables);
        let outcomes = at_once(outcomes);
        values::stored(call.checked(outcomes)?, texts, &conversion.fields)
    }

    /// The properties that a rule and a selection need of an object type, or
    /// why they cannot be used. It panics on no thread, and [keeps it](Self)
    /// until the component has answered.
    pub fn needs(
        &self,
        object_type: &ObjectType,
        rule: Option<&MatchingRule>,
        selection: Option<&Selection>,
    ) -> Result<Result<NeededProperties, RuleError>, Fault> {
        let rule = rule.map(|rule| convert::matching_rule(object_type, rule));
        let selection = selection.map(convert::selection);
        let mut call = self.begin()?;
        let calls = call.connector.jimo_connect_matching();
        let needs = at_once(calls.call_needs(
            &mut call.store,
            object_type.as_str(),
            rule.as_ref(),
            selection.as_ref(),
        ));
        Ok(check::needs(call.checked(needs)?)?)
    }

    /// For each property, in order, the types of variable it can be mapped to.
    /// It panics on no thread, and [keeps it](Self) until the component has
    /// answered.
    pub fn suitable(&self, properties: &[PropertyDefinition]) -> Result<Vec<SuitableTypes>, Fault> {
        let said: Vec<_> = properties.iter().map(convert::property).collect();
        let mut call = self.begin()?;
        let calls = call.connector.jimo_connect_transform();
        let suitable = at_once(calls.call_suitable(&mut call.store, &said));
        Ok(values::suitable(call.checked(suitable)?, properties.len())?)
    }

    fn begin(&self) -> Result<Call<'_>, Fault> {
        Call::begin(&self.shared, &self.connector)
    }
}

/// An instance, from its making to its end.
struct Call<'a> {
    shared: &'a Shared,
    connector: Connector,
    // Dropped before the place in the pool is given to another pass.
    store: Store<Instance>,
    _running: Running<'a>,
}

impl<'a> Call<'a> {
    fn begin(shared: &'a Shared, connector: &ConnectorPre<Instance>) -> Result<Self, Fault> {
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
        match at_once(connector.instantiate_async(&mut store)) {
            Ok(connector) => Ok(Self {
                shared,
                connector,
                store,
                _running: running,
            }),
            Err(error) => {
                Err(plugins_fault(shared, &error).unwrap_or_else(|| Fault::Host(chain(&error))))
            }
        }
    }

    /// Tells why a call failed.
    fn checked<T>(&self, answer: wasmtime::Result<T>) -> Result<T, Fault> {
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
