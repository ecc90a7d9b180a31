//! What is told of one record.

use std::collections::BTreeSet;

use super::{SKIPPED, UNCHANGED, UPDATED};
use crate::model::UserId;

/// What happened to one record.
#[derive(Debug, Default)]
pub struct RecordReport {
    pub(super) users: BTreeSet<UserId>,
    pub(super) variables: BTreeSet<String>,
    pub(super) reasons: BTreeSet<String>,
    pub(super) unreadable: bool,
    pub(super) matched: bool,
    read: bool,
    put_off: bool,
}

impl RecordReport {
    /// A user's variable shows something new.
    pub fn shown(&mut self, user: UserId, variable: &str) {
        self.users.insert(user);
        if !self.variables.contains(variable) {
            self.variables.insert(variable.to_owned());
        }
    }

    /// Something did nothing, or could not be shown.
    pub fn reason(&mut self, reason: &str) {
        if !self.reasons.contains(reason) {
            self.reasons.insert(reason.to_owned());
        }
    }

    /// A value of it could not be read.
    pub fn unreadable(&mut self, reason: &str) {
        self.unreadable = true;
        self.reason(reason);
    }

    /// The record reaches users.
    pub fn matched(&mut self) {
        self.matched = true;
    }

    /// The record will be read.
    pub fn read(&mut self) {
        self.read = true;
    }

    /// The record could not be read, and will be much later.
    pub fn put_off(&mut self, reason: &str) {
        self.put_off = true;
        self.reason(reason);
    }

    /// Whether it is of no user, or changed nothing.
    pub(super) fn is_as_before(&self) -> bool {
        match self.outcome() {
            UNCHANGED => true,
            SKIPPED => !self.matched,
            _ => false,
        }
    }

    pub(super) fn outcome(&self) -> &'static str {
        if !self.variables.is_empty() {
            UPDATED
        } else if self.put_off {
            "read_put_off"
        } else if self.read {
            "read_requested"
        } else if self.reasons.is_empty() {
            UNCHANGED
        } else {
            SKIPPED
        }
    }
}
