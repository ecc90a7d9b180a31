//! Converting again what is held of a field whose conversion changed: by its
//! texts, which registers keep.

use super::{
    feeding::Feeder,
    report::{Origin, RecordReport},
    routing::FieldPlace,
};
use crate::{
    model::{Readable, Register, Unreadable},
    plugin::Outcome,
    store::{self, conversions::HeldRegister},
};

/// Where the lines of activity come from.
const ORIGIN: &str = "mapping";

/// The texts that a register keeps, oldest first; the last is its newest.
pub fn texts(register: &Register) -> impl Iterator<Item = &str> {
    let apart = register.unreadable.as_ref().and(register.readable.as_ref());
    apart
        .map(|readable| readable.text.as_str())
        .into_iter()
        .chain(std::iter::once(register.text.as_str()))
}

/// What a register holds once its [`texts`] become these. What cannot be read
/// any more keeps the value that it had.
pub fn converted(held: &Register, outcomes: impl IntoIterator<Item = Outcome>) -> Register {
    let mut outcomes = outcomes.into_iter();
    let mut next = || outcomes.next().unwrap_or(Err(Unreadable::Malformed));
    let apart = held.unreadable.is_some();
    let mut readable = held.readable.clone();
    if let Some(older) = readable.as_mut().filter(|_| apart)
        && let Ok(value) = next()
    {
        older.value = value;
    }
    let unreadable = match next() {
        Ok(value) => {
            readable = Some(Readable {
                text: held.text.clone(),
                version: held.version,
                value,
            });
            None
        }
        Err(unreadable) => Some(unreadable.as_str().to_owned()),
    };
    Register {
        unreadable,
        readable,
        ..held.clone()
    }
}

/// Writes a register that a plugin version, named by its digest, converted again,
/// and shows what changed by it. Returns false, and does nothing, where the register
/// is not `held` any more.
pub fn apply(
    feeder: &mut Feeder<'_, '_>,
    place: FieldPlace,
    held: &HeldRegister,
    converted: &Register,
    plugin: &str,
) -> Result<bool, store::Error> {
    let (tx, route) = (feeder.tx, feeder.route);
    let field = route.field(place);
    let now = tx.register(held.key, field.id, field.target)?;
    if now.as_ref() != Some(&held.register) {
        return Ok(false);
    }
    let changed = *converted != held.register;
    if changed {
        tx.save_register(held.key, field.id, converted)?;
    }
    if field.variable.is_none() {
        // The selection depends on it, and on which of its choices are closed.
        feeder.touch_reached(place.mapping, held.key)?;
        return Ok(true);
    }
    if !changed {
        return Ok(true);
    }
    let mut told = RecordReport::default();
    if let Some(readable) = &converted.readable {
        feeder.show_on_fed(place, held.key, readable, &mut told)?;
    }
    if let Some(reason) = &converted.unreadable {
        told.reason(reason);
    }
    let object_type = &route.mappings[place.mapping].object_type;
    let origin = Origin {
        word: ORIGIN,
        plugin: Some(plugin.to_owned()),
    };
    feeder
        .report
        .record(&origin, object_type, &held.record, told, feeder.now);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Timestamp, Value, Version};

    fn version(stamp: i64) -> Version {
        Version {
            stamp: Timestamp(stamp),
            sequence: 0,
        }
    }

    fn text(value: &str) -> Outcome {
        Ok(Some(Value::Text(value.into())))
    }

    fn readable(text: &str, stamp: i64, value: &str) -> Readable {
        Readable {
            text: text.into(),
            version: version(stamp),
            value: Some(Value::Text(value.into())),
        }
    }

    /// One whose newest text could not be read.
    fn unreadable() -> Register {
        Register {
            text: "new".into(),
            version: version(20),
            unreadable: Some(Unreadable::UnknownChoice.as_str().into()),
            readable: Some(readable("old", 10, "Old")),
        }
    }

    #[test]
    fn both_slots_are_converted() {
        let held = unreadable();
        assert_eq!(texts(&held).collect::<Vec<_>>(), ["old", "new"]);
        let again = converted(&held, [text("OLD"), Err(Unreadable::UnknownChoice)]);
        assert_eq!(again.readable, Some(readable("old", 10, "OLD")));
        assert_eq!((again.text.as_str(), again.version), ("new", version(20)));
        assert_eq!(again.unreadable, held.unreadable);
    }

    #[test]
    fn what_can_be_read_now_is_shown() {
        let again = converted(&unreadable(), [text("OLD"), text("NEW")]);
        assert_eq!(again.readable, Some(readable("new", 20, "NEW")));
        assert_eq!(again.unreadable, None);
        assert_eq!(texts(&again).collect::<Vec<_>>(), ["new"]);
    }

    #[test]
    fn what_cannot_be_read_any_more_keeps_its_value_and_says_why() {
        let held = converted(&unreadable(), [text("OLD"), text("NEW")]);
        let gone = || Err(Unreadable::UnknownChoice);
        let mut again = held.clone();
        // However often it is tried.
        for _ in 0..3 {
            let outcomes: Vec<_> = texts(&again).map(|_| gone()).collect();
            again = converted(&again, outcomes);
            assert_eq!(again.readable, Some(readable("new", 20, "NEW")));
            assert_eq!(
                again.unreadable.as_deref(),
                Some(Unreadable::UnknownChoice.as_str())
            );
        }
        let back = converted(&again, [text("New"), text("New")]);
        assert_eq!(back.readable, Some(readable("new", 20, "New")));
        assert_eq!(back.unreadable, None);
    }

    #[test]
    fn an_older_value_stays_where_its_text_cannot_be_read_any_more() {
        let held = unreadable();
        let gone = || Err(Unreadable::UnknownChoice);
        assert_eq!(converted(&held, [gone(), gone()]), held);
    }
}
