//! How far a reader of the log is, when lanes are read in turn.

use std::collections::BTreeMap;

use super::{Lane, Listed, Position};

/// How far a reader is: everything up to one position is done, and of single
/// lanes what is up to another one, further on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Everything up to here is done.
    pub up_to: Position,
    /// What else is done: of these lanes, everything up to there.
    pub ahead: BTreeMap<Lane, Position>,
}

/// How a reader moves on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Everything up to here is done after it.
    pub up_to: Position,
    /// The lanes that move, and up to where each is done after it.
    pub lanes: Vec<(Lane, Position)>,
}

impl Place {
    /// Whether an entry is done.
    pub fn is_done(&self, entry: &Listed) -> bool {
        let of_lane = self.ahead.get(&entry.lane).copied().unwrap_or_default();
        entry.position <= self.up_to.max(of_lane)
    }

    /// The last position that something is done of.
    pub fn last(&self) -> Position {
        let furthest = self.ahead.values().max().copied().unwrap_or_default();
        self.up_to.max(furthest)
    }
}
