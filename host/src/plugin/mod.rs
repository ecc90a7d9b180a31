//! Runs plugins: WebAssembly components that understand a source and have no
//! effects. `wit/` is the contract with them.
//!
//! A *pass* is one account's part of what waits, parsed, matched and
//! transformed by one fresh instance of the active [`Version`].
//!
//! Architecture invariants:
//! - What a plugin says is a claim. The host splits bodies itself
//!   ([`elements`]) and knows whose each element is; outputs name elements by
//!   index, and everything in them is checked before it leaves this module.
//! - A plugin reaches nothing: no file, network, clock or randomness.
//! - A plugin that traps, spins, hoards or talks nonsense ends one pass with a
//!   [`Fault`], never the host.
//! - wasmtime and the generated bindings are not seen outside this module.
//!
//! Trying again and setting aside are the pipeline's.

mod bindings;
mod call;
mod check;
mod claims;
mod conformance;
mod convert;
mod definitions;
mod describe;
pub mod elements;
mod engine;
mod fault;
pub mod files;
mod inert;
mod install;
mod limits;
mod pass;
mod plugins;
#[cfg(test)]
mod said_tests;
mod values;
mod version;
mod versions;
mod world;

pub use definitions::{DefinedProperty, ObjectDefinitions};
pub use describe::{BodyDescription, DefaultMatch, Description, ObjectTypeDescription, Path};
pub use elements::{Element, SplitError, enclose, first_account, join, split, without};
pub use engine::{Engine, Error, digest};
pub use fault::{Fault, InstallError, Nonsense};
pub use install::conforms;
pub use limits::Limits;
pub use pass::{
    BodyKind, Conversion, ConversionField, Converted, Interest, NeededProperties, Outcome, Pass,
    PassOutput, RecordKeys, Refusal, RuleError, StoredText, SuitableTypes,
};
pub use plugins::Plugins;
pub use version::{Tally, Version};
pub use versions::{Serving, Versions};

/// The component that this program was built with: the version that runs
/// until an operator activates another.
pub const EMBEDDED: &[u8] = include_bytes!(env!("JIMO_CONNECT_PLUGIN"));
