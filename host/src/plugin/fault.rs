//! What can go wrong with a plugin, told without anything of the data.
//!
//! A [`Fault`] ends one pass: the pipeline tries that pass again body by body,
//! and sets aside what faults again. An [`InstallError`] keeps a component from
//! becoming a version at all. Neither is ever an answer to bad input: what a
//! plugin cannot understand, it refuses by element.

use std::time::Duration;

use super::limits::REASON_CHARACTERS_MAX;

/// Why a pass failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The elements are more than one pass may have; the plugin was not asked.
    #[error("the elements have {bytes} bytes, and a pass takes {bytes_max} at most")]
    Oversized {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        bytes_max: usize,
    },
    /// The plugin ended abruptly: it trapped, exited, or misused an import.
    /// The text says how, and is mostly wasmtime's.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// The plugin ran for too long.
    #[error("the plugin was stopped after {} ms", .0.as_millis())]
    Deadline(Duration),
    /// The plugin asked for too much memory.
    #[error("the plugin asked for more than {bytes_max} bytes of memory")]
    Memory {
        /// How much it may have.
        bytes_max: usize,
    },
    /// The plugin could not make anything of the elements as a whole, although
    /// the host found them to be a JSON array.
    #[error("the plugin refused all elements: {0}")]
    Refused(String),
    /// The plugin answered what does not fit the contract.
    #[error("the plugin answered nonsense: {0}")]
    Output(Nonsense),
    /// No version of this connector's plugin runs here.
    #[error("no plugin of the connector {0} runs here: an operator has to activate one")]
    NotRunning(String),
    /// The host could not run the plugin; the plugin is not to blame.
    #[error("the plugin could not be started: {0}")]
    Host(String),
}

impl Fault {
    /// Whether the same pass may succeed later, with nothing changed: only
    /// where the host failed, or has no plugin. Bytes are never set aside for such a fault.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Host(_) | Self::NotRunning(_))
    }

    /// Whether it may go otherwise by itself: how long a pass takes depends on what else
    /// the machine does.
    pub fn may_be_chance(&self) -> bool {
        matches!(self, Self::Deadline(_))
    }

    /// Whether the plugin did it: not where it was not asked, or could not be.
    pub fn is_the_plugins(&self) -> bool {
        !matches!(
            self,
            Self::Oversized { .. } | Self::Host(_) | Self::NotRunning(_)
        )
    }

    /// The word for it in counts and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Oversized { .. } => "oversized",
            Self::Trap(_) => "trap",
            Self::Deadline(_) => "deadline",
            Self::Memory { .. } => "memory",
            Self::Refused(_) => "refused",
            Self::Output(_) => "output",
            Self::NotRunning(_) => "not_running",
            Self::Host(_) => "host",
        }
    }
}

impl From<Nonsense> for Fault {
    fn from(nonsense: Nonsense) -> Self {
        Self::Output(nonsense)
    }
}

/// What of a plugin's answer does not fit the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// Bytes that are no value of the contract's types, or too many of them.
    /// The text is wasmtime's.
    #[error("no value of the contract's types, or too large a one ({0})")]
    Shape(String),
    /// The index of an element that was not handed in.
    #[error("it names an element that was not handed in")]
    Element,
    /// Elements out of order, or one twice where it may stand once.
    #[error("its elements are out of order, or one is there twice")]
    Order,
    /// The index of a property that was not asked for, or one twice.
    #[error("it names a property that was not asked for, or one twice")]
    Property,
    /// The index of a field mapping that was not handed in.
    #[error("it names a field mapping that was not handed in")]
    Field,
    /// An object type that was not asked for, or that is not described.
    #[error("it names an object type that was not asked for")]
    ObjectType,
    /// An id or name that is empty, too long or has control characters.
    #[error("it gives an id or a name that cannot be one")]
    Name,
    /// The id of a record that its element does not name.
    #[error("it names a record that the element does not name")]
    Record,
    /// A moment outside the years 1 to 9999.
    #[error("it gives a moment outside the years 1 to 9999")]
    Moment,
    /// A value of another type than the field's variable.
    #[error("it gives a value of another type than the variable's")]
    ValueType,
    /// A value that no variable can hold.
    #[error("it gives a value that no variable can hold: {0}")]
    Value(&'static str),
    /// More or fewer outcomes than texts to convert.
    #[error("it gives more or fewer outcomes than there are texts to convert")]
    Outcomes,
    /// A match key without text, or keys out of order.
    #[error("it gives an empty match key, or keys out of order")]
    MatchKey,
    /// A property's text that is longer than the whole element.
    #[error("it gives a text that is longer than its element")]
    Text,
    /// A match key that does not stand in the element.
    #[error("it gives a match key that the element does not hold")]
    ForeignKey,
    /// Answers that contradict each other or the kind of body.
    #[error("it contradicts itself: {0}")]
    Contradiction(&'static str),
}

/// Why a component was not installed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// The bytes are no component, or one that needs more than it may have.
    #[error("these bytes are no component that can run here: {0}")]
    Component(String),
    /// It imports what plugins may not have.
    #[error("the component imports what plugins may not have: {}", .0.join(", "))]
    Imports(Vec<String>),
    /// It is no connector of a version of the contract that this host speaks.
    #[error("the component does not keep the contract: {0}")]
    Contract(String),
    /// It failed when it was asked what it is.
    #[error("the component could not say what it is: {0}")]
    Describe(#[source] Fault),
    /// It failed when it was asked for its source's properties.
    #[error("the component could not tell its source's properties: {0}")]
    Define(#[source] Fault),
    /// What it says it is makes no sense.
    #[error("what the component says of itself makes no sense: {0}")]
    Description(String),
    /// It is a connector to a source that this host cannot serve.
    #[error(
        "it connects to {connector}, and this host {lacking}: a source other than HubSpot only \
         pushes, and its component defines its properties"
    )]
    NotServed {
        /// What it says it connects to.
        connector: String,
        /// What this host would need and has not.
        lacking: &'static str,
    },
    /// It fails on what every connector has to be able to answer.
    #[error("it does not pass the case \"{case}\": {found}")]
    Conformance {
        /// What it was asked.
        case: String,
        /// What it did.
        found: String,
    },
}

/// What people are shown of a text that a plugin wrote: one line, no control
/// characters, nothing that turns the direction of writing, not long.
pub(super) fn shown(text: &str) -> String {
    let mut characters = text.chars().map(|c| {
        let bidirectional = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || bidirectional || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }
    });
    let mut shown: String = characters.by_ref().take(REASON_CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_writes_is_shown_in_one_short_line() {
        assert_eq!(shown("a\nb\u{1b}[31m\u{202e}c"), "a b [31m c");
        let long = "é".repeat(REASON_CHARACTERS_MAX);
        assert_eq!(shown(&long), long);
        assert_eq!(shown(&format!("{long}x")), format!("{long}…"));
    }
}
