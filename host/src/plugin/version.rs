//! One compiled component, and the calls of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    bindings::{Connector, exports::jimo::connect as wit},
    call::{Call, Exports},
    check, convert,
    definitions::ObjectDefinitions,
    describe::{BodyDescription, Description},
    elements::{Element, SplitError, split},
    engine::Shared,
    fault::{Fault, InstallError, shown},
    inert::at_once,
    pass::{
        BodyKind, Conversion, NeededProperties, Outcome, Pass, PassOutput, RuleError, StoredText,
        SuitableTypes,
    },
    values,
};
use crate::{
    model::{MatchingRule, ObjectType, PropertyDefinition, Selection},
    telemetry::PluginFaults,
};

/// One version of a plugin: a compiled component, named by its digest. It may
/// be used by several threads at once.
///
/// Every call of the component runs on the caller's thread, which may be any,
/// one of the runtime's as well: calls need no runtime, and none is entered.
/// Yet they keep the thread for as long as a pass may take, and before that
/// until one may begin, so asynchronous code hands them to `spawn_blocking`.
pub struct Version {
    shared: Arc<Shared>,
    faults: PluginFaults,
    exports: Arc<Exports>,
    digest: String,
    description: Description,
    definitions: Option<Vec<ObjectDefinitions>>,
    passes: AtomicU64,
    failed: AtomicU64,
}

/// How often a version was asked, and how often that came to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Passes, and conversions of what was kept; not those of a replay.
    pub passes: u64,
    /// Those that faulted, by the plugin's doing, or in which it refused more
    /// than half of the elements, and bodies in which its description found nothing, or
    /// that it was not asked for any more.
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
    /// Runs a component for the first time, and checks what it says of itself.
    pub(super) fn new(
        shared: Arc<Shared>,
        faults: PluginFaults,
        exports: Arc<Exports>,
        digest: String,
    ) -> Result<Self, InstallError> {
        let said = exports.describe(&shared)?;
        let description = Description::from_wit(said).map_err(InstallError::Description)?;
        let definitions = exports.define(&shared, &description)?;
        Ok(Self {
            shared,
            faults,
            exports,
            digest,
            description,
            definitions,
            passes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Asks the component once more what it is.
    pub(super) fn describe_again(&self) -> Result<Result<Description, String>, InstallError> {
        let said = self.exports.describe(&self.shared);
        said.map(Description::from_wit)
    }

    /// Asks it once more for its source's properties.
    pub(super) fn define_again(&self) -> Result<Option<Vec<ObjectDefinitions>>, InstallError> {
        self.exports.define(&self.shared, &self.description)
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

    /// Counts that it came to a fault; against the version where that is the plugin's.
    fn count_fault(&self, fault: &Fault) {
        self.faults.count(self.connector(), fault.as_str());
        if fault.is_the_plugins() {
            self.count(true);
        }
    }

    /// Counts a body in which its description finds no element of anybody's, as a
    /// pass that failed: the host reads by what the component says.
    pub fn found_nothing(&self) {
        self.count(true);
    }

    /// Counts a body that it is not asked for, since it ran too long on others like it,
    /// as a pass that failed: what is set aside unasked speaks against it, too.
    pub fn not_asked(&self) {
        self.count(true);
    }

    /// Splits what a read answered, where the description says that elements stand.
    /// An answer that has none there counts as a pass that failed, and so does one
    /// that the description knows nothing of.
    pub fn split_answer<'b>(
        &self,
        answer: &'b [u8],
        at: Option<&BodyDescription>,
    ) -> Result<Vec<Element<'b>>, SplitError> {
        let elements = at
            .ok_or(SplitError::NotDescribed)
            .and_then(|at| split(answer, at));
        let nothing = [SplitError::NoElements, SplitError::NotDescribed];
        if elements
            .as_ref()
            .is_err_and(|error| nothing.contains(error))
        {
            self.found_nothing();
        }
        elements
    }

    /// What the component says it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The properties of its source's records, by object type; none where the
    /// component leaves it to the source to tell them.
    pub fn definitions(&self) -> Option<&[ObjectDefinitions]> {
        self.definitions.as_deref()
    }

    /// The connector that it is a version of, by the name that it describes itself
    /// with.
    pub fn connector(&self) -> &str {
        &self.description.connector
    }

    /// The version of the contract that it speaks, for example `1.1.0`.
    pub fn contract(&self) -> &str {
        &self.exports.contract
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
            Err(fault) => self.count_fault(fault),
        }
        output
    }

    /// [`run`](Self::run), uncounted: what was set aside failed before, and says nothing
    /// new of a version, however often somebody asks for it; and what it is compared or
    /// tried with is nobody's.
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

        let parse = call.exports.jimo_connect_parse();
        let kind = convert::body_kind(&pass.body);
        let parsed = at_once(parse.call_parse(&mut call.store, &kind, pass.elements));
        let parsed = call.checked(parsed)?.map_err(|error| match error {
            wit::parse::ParseError::NotAnArray(reason) => Fault::Refused(shown(&reason)),
            wit::parse::ParseError::UnsupportedKind => {
                Fault::Refused("it does not read this kind of body".into())
            }
        })?;
        let calls = call.exports.jimo_connect_parse();
        let refusals = at_once(calls.parsed().call_refusals(&mut call.store, parsed));
        output.refusals = checks.refusals(call.checked(refusals)?)?;
        match &pass.body {
            BodyKind::Delivery | BodyKind::JournalFile => {
                let interests: Vec<_> = pass.interests.iter().map(convert::interest).collect();
                let calls = call.exports.jimo_connect_parse();
                let calls = calls.parsed();
                let changes = at_once(calls.call_changes(&mut call.store, parsed, &interests));
                output.changes = checks.changes(call.checked(changes)?)?;
            }
            BodyKind::Records(_) => {
                let properties = checks.properties().iter().map(ToString::to_string);
                let properties: Vec<String> = properties.collect();
                let calls = call.exports.jimo_connect_parse();
                let calls = calls.parsed();
                let records = at_once(calls.call_records(&mut call.store, parsed, &properties));
                output.records = checks.records(call.checked(records)?)?;
            }
            BodyKind::Associations { .. } => {
                let calls = call.exports.jimo_connect_parse();
                let sets = at_once(calls.parsed().call_associations(&mut call.store, parsed));
                output.associations = checks.associations(call.checked(sets)?)?;
            }
        }
        for conversion in pass.conversions {
            let (fields, tables) = convert::conversion(conversion);
            let calls = call.exports.jimo_connect_transform();
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
            let calls = call.exports.jimo_connect_matching();
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
            Err(fault) => self.count_fault(fault),
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
        let calls = call.exports.jimo_connect_transform();
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
        let calls = call.exports.jimo_connect_matching();
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
        let calls = call.exports.jimo_connect_transform();
        let suitable = at_once(calls.call_suitable(&mut call.store, &said));
        Ok(values::suitable(call.checked(suitable)?, properties.len())?)
    }

    fn begin(&self) -> Result<Call<'_, Connector>, Fault> {
        Call::of_connector(&self.shared, &self.exports)
    }
}
