//! What live had missed, by kind.

/// Why a catch-up changed what users show, though live should have. Of several
/// reasons the last of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missed {
    /// A value changed, and its record's stamp did not move: the source
    /// calculates it, and tells nobody.
    Calculated,
    /// A record was modified.
    Property,
    /// A record was associated to others than was known.
    Association,
    /// A record matches others than was known; it may be new.
    Match,
    /// Records were merged.
    Merge,
    /// A record was deleted, or came back.
    Deletion,
}

impl Missed {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Calculated,
        Self::Property,
        Self::Association,
        Self::Match,
        Self::Merge,
        Self::Deletion,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calculated => "calculated",
            Self::Property => "property",
            Self::Association => "association",
            Self::Match => "match",
            Self::Merge => "merge",
            Self::Deletion => "deletion",
        }
    }
}
