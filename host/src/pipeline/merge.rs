//! Which text a register holds: the newest by the source's own time.
//!
//! Merging takes, for each of the two slots, the greatest of what was said, by
//! version and then by text. So it is idempotent, commutative and associative:
//! order, repetition and loss of messages that are said again change nothing.

use crate::model::{Readable, Register, Unreadable, Value, Version};

/// What was said of a property.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The source's text.
    pub text: String,
    /// When.
    pub version: Version,
    /// What it becomes, or why it cannot be read; no value where it is empty.
    pub outcome: Result<Option<Value>, Unreadable>,
}

/// What saying it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The register after it.
    pub register: Register,
    /// Whether the register differs from before.
    pub changed: bool,
    /// Whether what users show may differ from before.
    pub shown_changed: bool,
    /// Whether two events of one stamp disagree, which only a read can settle.
    pub conflict: bool,
}

/// Says something to a register.
pub fn merge(held: Option<Register>, said: &Said) -> Merged {
    let Some(mut register) = held else {
        return Merged {
            register: first(said),
            changed: true,
            shown_changed: true,
            conflict: false,
        };
    };
    let conflict = said.version == register.version
        && said.version.sequence == 0
        && said.text != register.text;
    let mut changed = false;
    if (said.version, &said.text) > (register.version, &register.text) {
        changed = true;
        register.text.clone_from(&said.text);
        register.version = said.version;
        register.unreadable = reason(said);
    }
    let mut shown_changed = false;
    if let Ok(value) = &said.outcome {
        let kept = register.readable.as_ref();
        if kept.is_none_or(|kept| (said.version, &said.text) > (kept.version, &kept.text)) {
            changed = true;
            shown_changed = kept.is_none_or(|kept| kept.value != *value);
            register.readable = Some(Readable {
                text: said.text.clone(),
                version: said.version,
                value: value.clone(),
            });
        }
    }
    Merged {
        register,
        changed,
        shown_changed,
        conflict,
    }
}

fn first(said: &Said) -> Register {
    Register {
        text: said.text.clone(),
        version: said.version,
        unreadable: reason(said),
        readable: said.outcome.as_ref().ok().map(|value| Readable {
            text: said.text.clone(),
            version: said.version,
            value: value.clone(),
        }),
    }
}

fn reason(said: &Said) -> Option<String> {
    said.outcome
        .as_ref()
        .err()
        .map(|unreadable| unreadable.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Timestamp;

    fn said(text: &str, stamp: i64, sequence: i64) -> Said {
        // As the plugin does: one text always has one outcome.
        let outcome = match text {
            "" => Ok(None),
            "REDACTED" => Err(Unreadable::Redacted),
            text => Ok(Some(Value::Text(text.to_owned()))),
        };
        Said {
            text: text.to_owned(),
            version: Version {
                stamp: Timestamp(stamp),
                sequence,
            },
            outcome,
        }
    }

    fn all(messages: &[Said]) -> Option<Register> {
        messages
            .iter()
            .fold(None, |held, said| Some(merge(held, said).register))
    }

    fn shown(register: &Register) -> Option<&str> {
        register
            .readable
            .as_ref()
            .map(|readable| readable.text.as_str())
    }

    #[test]
    fn an_older_change_never_overwrites_a_newer_value() {
        let register = all(&[said("new", 20, 0), said("old", 10, 0)]).expect("a register");
        assert_eq!(shown(&register), Some("new"));
    }

    #[test]
    fn a_read_beats_an_event_of_the_same_stamp() {
        for messages in [
            [said("z event", 10, 0), said("a read", 10, 7)],
            [said("a read", 10, 7), said("z event", 10, 0)],
        ] {
            let register = all(&messages).expect("a register");
            assert_eq!(shown(&register), Some("a read"));
        }
    }

    #[test]
    fn two_events_of_one_stamp_that_disagree_are_a_conflict() {
        let held = all(&[said("a", 10, 0)]).expect("a register");
        assert!(merge(Some(held.clone()), &said("b", 10, 0)).conflict);
        assert!(!merge(Some(held.clone()), &said("a", 10, 0)).conflict);
        assert!(!merge(Some(held.clone()), &said("b", 11, 0)).conflict);
    }

    #[test]
    fn what_cannot_be_read_keeps_the_newest_readable_value_and_says_why() {
        let register = all(&[said("seen", 10, 0), said("REDACTED", 20, 0)]).expect("a register");
        assert_eq!(shown(&register), Some("seen"));
        assert_eq!(register.unreadable.as_deref(), Some("redacted"));
        let late = merge(Some(register), &said("between", 15, 0));
        assert!(late.shown_changed);
        assert_eq!(shown(&late.register), Some("between"));
        assert_eq!(late.register.text, "REDACTED");
    }

    #[test]
    fn an_emptied_property_empties_the_value() {
        let register = all(&[said("full", 10, 0), said("", 20, 0)]).expect("a register");
        assert_eq!(register.readable.map(|readable| readable.value), Some(None));
    }

    proptest! {
        #[test]
        fn order_and_repetition_change_nothing(
            messages in prop::collection::vec(
                ("[ab]?|REDACTED", 0_i64..4, 0_i64..3)
                    .prop_map(|(text, stamp, sequence)| said(&text, stamp, sequence)),
                1..8,
            ),
            order in any::<u64>(),
        ) {
            let expected = all(&messages);
            let mut shuffled: Vec<_> = messages.iter().chain(&messages).cloned().collect();
            let length = shuffled.len();
            let mut state = order;
            for index in (1..length).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(index, (state >> 33) as usize % (index + 1));
            }
            prop_assert_eq!(all(&shuffled), expected.clone());
            // The shown value is the newest readable one.
            let newest = messages
                .iter()
                .filter(|said| said.outcome.is_ok())
                .max_by_key(|said| (said.version, said.text.clone()));
            let register = expected.expect("a register");
            prop_assert_eq!(shown(&register), newest.map(|said| said.text.as_str()));
        }
    }
}
