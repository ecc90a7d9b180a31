//! What a connector connects to, seen from the host: who may deliver in its name,
//! how an account is connected, and whether its records can be read.
//!
//! HubSpot's parts are in [`crate::hubspot`]: signatures, consents, calls and
//! journal. Any other source only pushes: its deliveries are signed by a secret that
//! the operator configures ([`push`]), they hold whole records, and nothing can be
//! asked of it.
//!
//! Architecture invariant: a source is told by its connector's name. What a plugin
//! understands of it is the plugin's, and nothing of it is known here.

mod install;
pub mod push;
mod sender;

pub use install::check;
pub use sender::{Check, Sender, Senders, SignatureError, Signed};

use sha2::{Digest, Sha256};

use crate::{hubspot::CONNECTOR, log::Lane, model::AccountKey};

/// What people are told who ask for a read where none can be made.
pub const NOTHING_READ: &str = "nothing can be read from this source: its records are known \
                                when they are pushed";

/// A kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// HubSpot: an admin consents, and records can be read.
    HubSpot,
    /// One that only pushes, whichever it is.
    Push,
}

impl Source {
    /// What a connector connects to.
    pub fn of(connector: &str) -> Self {
        match connector {
            CONNECTOR => Self::HubSpot,
            _ => Self::Push,
        }
    }

    /// Whether its records can be read. Of one where they cannot, they are known by
    /// what is pushed alone: no read, look-up or run is ever asked for.
    pub fn is_read(self) -> bool {
        self == Self::HubSpot
    }
}

/// The lane in which an account's entries wait: for HubSpot its id, as far as it is a
/// number; for others a number below zero that is drawn from connector and account.
pub fn lane(connector: &str, account: Option<&AccountKey>) -> Lane {
    match Source::of(connector) {
        Source::HubSpot => {
            let id = account.and_then(|account| account.as_str().parse().ok());
            id.map(Lane).unwrap_or_default()
        }
        Source::Push => {
            let mut hash = Sha256::new_with_prefix(connector);
            hash.update([0]);
            hash.update(account.map_or("", AccountKey::as_str));
            let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
            Lane(i64::from_be_bytes([a, b, c, d, e, f, g, h]) | i64::MIN)
        }
    }
}
