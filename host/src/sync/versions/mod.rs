//! Plugin versions on a running host: installed, switched to, gone back from.
//!
//! Architecture invariants:
//! - The store says which version was chosen ([`history`]); the host follows it,
//!   and says there what it runs. Commands beside the host and its API write what
//!   they ask for, and [`switch`] alone switches.
//! - A version is read, checked and compiled before it is switched to, off the path
//!   of every delivery. The switch itself swaps a pointer: passes under way end on
//!   the version that they began with.
//! - Nobody switches to what was not compared with the active version ([`shadow`]),
//!   unless they say that they do.
//! - A version may serve one connection before it serves all ([`trials`]).
//! - What cannot be run is never switched to; at the start, the built-in version
//!   stands in for it ([`library::open`]).

mod described;
pub mod history;
mod installing;
pub mod library;
pub mod shadow;
pub mod switch;
mod trials;
mod watch;

pub use installing::Installing;

use crate::{
    log,
    plugin::{self, Fault, files},
    store,
};

/// Why a version could not be installed, switched to or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The host cannot run plugins.
    #[error(transparent)]
    Plugin(#[from] Fault),
    /// The plugin engine.
    #[error(transparent)]
    Engine(#[from] plugin::Error),
    /// The component.
    #[error(transparent)]
    Install(#[from] plugin::InstallError),
    /// Its file.
    #[error(transparent)]
    File(#[from] files::Error),
    /// It takes too long to be compiled and tried.
    #[error(
        "this component takes longer than twenty seconds to be compiled and tried: it is refused"
    )]
    TooLong,
    /// Another component is being compiled.
    #[error("another component is still being compiled: try again in a while")]
    Busy,
    /// It is built in, yet into another release than this.
    #[error("it was built into another release, and is in no file here")]
    NotKept,
    /// No version of its connector is active.
    #[error(
        "no version of {0} is active, so there is nothing to compare it with: activate it as it is"
    )]
    NothingToCompare(String),
    /// The connection is to another source.
    #[error("this connection is of {of}, and the version connects to {connector}")]
    OtherConnector {
        /// The connection's connector.
        of: String,
        /// The version's.
        connector: String,
    },
    /// The active version serves the connection, or another than the one that is meant.
    #[error("no version serves this connection alone")]
    NoTrial,
    /// There are several connectors, and none was named.
    #[error("say which connector: {}", .0.join(", "))]
    WhichConnector(Vec<String>),
    /// It was not compared with the active version, for this reason.
    #[error("{0}; say --force (in the API, \"force\": true) to activate it all the same")]
    NotCompared(String),
    /// It is the active version.
    #[error("this version is active already")]
    Active,
    /// It is the active version, or is about to be.
    #[error("this version is active, or is about to be: activate another first")]
    InUse,
    /// It came with the program.
    #[error("this version is built into a release: there is nothing here to remove")]
    BuiltIn,
    /// No version was active before.
    #[error("there is no version to go back to")]
    NoneBefore,
    /// Another version would be gone back to than the one that is meant.
    #[error("another version was active before by now: look at it first")]
    OtherBefore,
    /// The work itself ended; a defect.
    #[error("the work ended abruptly")]
    Ended,
}
