//! Why something is read, and how urgently.

use super::RunId;

/// Whose turn it is when several wait: the first case first. The numbers are
/// stored, and never change their meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A change that just came, or an admin who is waiting.
    #[default]
    Live = 0,
    /// A user who just came.
    Arrival = 1,
    /// The scan of recent changes.
    CatchUp = 2,
    /// The run over all records.
    FullSync = 3,
}

impl Priority {
    /// All, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Live, Self::Arrival, Self::CatchUp, Self::FullSync];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Arrival => "arrival",
            Self::CatchUp => "catch_up",
            Self::FullSync => "full_sync",
        }
    }

    /// Whether somebody waits for it.
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Live | Self::Arrival)
    }

    /// The word that activity has for what it makes happen.
    pub fn origin(self) -> &'static str {
        match self {
            Self::Live => "webhook",
            other => other.as_str(),
        }
    }
}

/// Why something is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// How urgently.
    pub priority: Priority,
    /// The run that asks, where one does.
    pub run: Option<RunId>,
    /// Whether nothing is known to have changed: then it is only looked whether
    /// what is held is still so, and fields that nothing was said of stay empty.
    pub refresh: bool,
}

impl Cause {
    /// Something changed, just now.
    pub const LIVE: Self = Self {
        priority: Priority::Live,
        run: None,
        refresh: false,
    };
    /// A user came.
    pub const ARRIVAL: Self = Self {
        priority: Priority::Arrival,
        run: None,
        refresh: false,
    };

    /// The same, of something that is known to have changed.
    pub fn of_change(self) -> Self {
        Self {
            refresh: false,
            ..self
        }
    }
}
