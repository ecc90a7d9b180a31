//! A component in its cage: a cap on memory, a deadline, and nothing with an effect within reach.

use std::path::Path;
use std::time::Duration;

use wasmtime::component::{Component, Linker, ResourceAny, ResourceTable};
use wasmtime::{Config, Engine, Result, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::contract::exports::jimo::connect::describe::Description;
use crate::contract::exports::jimo::connect::matching::{
    MatchingRule, NeededProperties, RecordKeys, RuleError, Selection,
};
use crate::contract::exports::jimo::connect::parse::{
    AssociationSet, BodyKind, Change, Interest, ParseError, Refusal, SourceRecord,
};
use crate::contract::exports::jimo::connect::transform::{
    Converted, FieldMapping, OptionTable, StoredText, SuitableTypes, Unreadable,
};
use crate::contract::jimo::connect::types::{PropertyDefinition, Value};
use crate::contract::{Connector, ConnectorPre};
use crate::definitions::DefinitionsPre;
use crate::definitions::exports::jimo::connect::definitions::ObjectProperties;

/// Bytes of memory that a component may have. More than a host grants: the kit hands in more than a host does, to see
/// that a component answers rather than breaks.
pub const MEMORY_MAX_BYTES: usize = 512 * 1024 * 1024;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(50);

/// The imports that a component may have: the contract's own types, and what a language's standard library drags in.
const ALLOWED_IMPORTS: [&str; 4] = [
    "jimo:connect/types@",
    "wasi:cli/",
    "wasi:io/",
    "wasi:random/insecure-seed@",
];

/// The interface that need not be there, in any version of this major.
const DEFINITIONS: &str = "jimo:connect/definitions@1.";

/// A loaded component.
pub struct Kit {
    engine: Engine,
    pre: ConnectorPre<State>,
    definitions: Option<DefinitionsPre<State>>,
    imports: Vec<String>,
}

impl Kit {
    /// Loads the component in `file`. Fails if it is no component, does not export the contract, or imports more than is
    /// allowed.
    pub fn load(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file)?;
        Self::from_bytes(&bytes)
    }

    /// Loads a component from its bytes; fails as [`Kit::load`] does.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.cranelift_nan_canonicalization(true);
        config.wasm_relaxed_simd(false);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, bytes)?;
        let imports: Vec<String> = component
            .component_type()
            .imports(&engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        for import in &imports {
            if !ALLOWED_IMPORTS
                .iter()
                .any(|allowed| import.starts_with(allowed))
            {
                return Err(wasmtime::Error::msg(format!(
                    "the component imports {import}"
                )));
            }
        }
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
        let instances = linker.instantiate_pre(&component)?;
        let pre = ConnectorPre::new(instances.clone())?;
        let definitions = component
            .component_type()
            .exports(&engine)
            .any(|(name, _)| name.starts_with(DEFINITIONS))
            .then(|| DefinitionsPre::new(instances))
            .transpose()?;
        let clock = engine.weak();
        std::thread::spawn(move || {
            while let Some(engine) = clock.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        });
        Ok(Self {
            engine,
            pre,
            definitions,
            imports,
        })
    }

    /// The names of what the component imports, sorted.
    pub fn imports(&self) -> Vec<String> {
        let mut imports = self.imports.clone();
        imports.sort();
        imports
    }

    /// A fresh instance: it knows nothing of any other.
    pub fn instance(&self) -> Result<Instance> {
        self.instance_with(MEMORY_MAX_BYTES)
    }

    /// A fresh instance with a cap of its own on memory, in bytes.
    pub fn instance_with(&self, memory_max_bytes: usize) -> Result<Instance> {
        let mut store = self.store(memory_max_bytes);
        let connector = self.pre.instantiate(&mut store)?;
        Ok(Instance { store, connector })
    }

    /// `definitions.define`, in a fresh instance; none where the component does not export it.
    pub fn define(&self) -> Option<Result<Vec<ObjectProperties>>> {
        let definitions = self.definitions.as_ref()?;
        let define = || {
            let mut store = self.store(MEMORY_MAX_BYTES);
            let instance = definitions.instantiate(&mut store)?;
            let calls = instance.jimo_connect_definitions();
            calls.call_define(&mut store)
        };
        Some(define())
    }

    fn store(&self, memory_max_bytes: usize) -> Store<State> {
        let state = State {
            wasi: WasiCtx::builder().insecure_random_seed(0).build(),
            table: ResourceTable::new(),
            limits: StoreLimitsBuilder::new()
                .memory_size(memory_max_bytes)
                .build(),
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limits);
        set_deadline(&mut store);
        store
    }
}

/// A fresh instance of a component. An `Err` of the outer result of a call is a fault of the component: a trap, a missed
/// deadline, memory beyond its cap.
pub struct Instance {
    store: Store<State>,
    connector: Connector,
}

impl Instance {
    /// `describe.describe`.
    pub fn describe(&mut self) -> Result<Description> {
        set_deadline(&mut self.store);
        self.connector
            .jimo_connect_describe()
            .call_describe(&mut self.store)
    }

    /// `transform.suitable`.
    pub fn suitable(&mut self, properties: &[PropertyDefinition]) -> Result<Vec<SuitableTypes>> {
        set_deadline(&mut self.store);
        self.connector
            .jimo_connect_transform()
            .call_suitable(&mut self.store, properties)
    }

    /// `transform.convert-stored`.
    pub fn convert_stored(
        &mut self,
        texts: &[StoredText],
        fields: &[FieldMapping],
        tables: &[OptionTable],
    ) -> Result<Vec<Result<Value, Unreadable>>> {
        set_deadline(&mut self.store);
        self.connector.jimo_connect_transform().call_convert_stored(
            &mut self.store,
            texts,
            fields,
            tables,
        )
    }

    /// `matching.needs`.
    pub fn needs(
        &mut self,
        object_type: &str,
        rule: Option<&MatchingRule>,
        selection: Option<&Selection>,
    ) -> Result<Result<NeededProperties, RuleError>> {
        set_deadline(&mut self.store);
        self.connector.jimo_connect_matching().call_needs(
            &mut self.store,
            object_type,
            rule,
            selection,
        )
    }

    /// `parse.parse`, and with what it returns the rest of a pass.
    pub fn parse(
        &mut self,
        kind: &BodyKind,
        elements: &[u8],
    ) -> Result<Result<Pass<'_>, ParseError>> {
        set_deadline(&mut self.store);
        let parsed =
            self.connector
                .jimo_connect_parse()
                .call_parse(&mut self.store, kind, elements)?;
        Ok(parsed.map(|parsed| Pass {
            instance: self,
            parsed,
        }))
    }
}

/// What was parsed, in the instance that parsed it.
pub struct Pass<'a> {
    instance: &'a mut Instance,
    parsed: ResourceAny,
}

impl Pass<'_> {
    /// `parsed.refusals`.
    pub fn refusals(&mut self) -> Result<Vec<Refusal>> {
        let Instance { store, connector } = &mut *self.instance;
        set_deadline(store);
        connector
            .jimo_connect_parse()
            .parsed()
            .call_refusals(store, self.parsed)
    }

    /// `parsed.changes`.
    pub fn changes(&mut self, interests: &[Interest]) -> Result<Vec<Change>> {
        let Instance { store, connector } = &mut *self.instance;
        set_deadline(store);
        connector
            .jimo_connect_parse()
            .parsed()
            .call_changes(store, self.parsed, interests)
    }

    /// `parsed.records`.
    pub fn records(&mut self, properties: &[String]) -> Result<Vec<SourceRecord>> {
        let Instance { store, connector } = &mut *self.instance;
        set_deadline(store);
        connector
            .jimo_connect_parse()
            .parsed()
            .call_records(store, self.parsed, properties)
    }

    /// `parsed.associations`.
    pub fn associations(&mut self) -> Result<Vec<AssociationSet>> {
        let Instance { store, connector } = &mut *self.instance;
        set_deadline(store);
        connector
            .jimo_connect_parse()
            .parsed()
            .call_associations(store, self.parsed)
    }

    /// `matching.match-keys`.
    pub fn match_keys(&mut self, rule: &MatchingRule) -> Result<Vec<RecordKeys>> {
        let Instance { store, connector } = &mut *self.instance;
        set_deadline(store);
        connector
            .jimo_connect_matching()
            .call_match_keys(store, self.parsed, rule)
    }

    /// `transform.convert`.
    pub fn convert(
        &mut self,
        fields: &[FieldMapping],
        tables: &[OptionTable],
    ) -> Result<Vec<Converted>> {
        let Instance { store, connector } = &mut *self.instance;
        set_deadline(store);
        connector
            .jimo_connect_transform()
            .call_convert(store, self.parsed, fields, tables)
    }

    /// Lets the instance forget what was parsed, so that it can be used again. A host drops the whole instance instead.
    pub fn end(self) -> Result<()> {
        self.parsed.resource_drop(&mut self.instance.store)
    }
}

/// What an instance's host side holds: WASI without anything to reach, and the caps.
struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

fn set_deadline(store: &mut Store<State>) {
    store.set_epoch_deadline((DEADLINE.as_millis() / TICK.as_millis()) as u64);
}
