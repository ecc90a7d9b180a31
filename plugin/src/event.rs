//! From one event, of a webhook delivery or of the journal, to the changes that it tells.
//!
//! An event of a type that is unknown, or of records that are not ours, tells nothing and is no error; one of a known
//! type that lacks what the type needs is refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::hubspot::{Event, JournalEvent, Object, Properties};
use crate::json::{self, Raw, Reason, Text};
use crate::moment;

/// One thing that happened to the record that an element names.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) element: u32,
    pub(crate) object: Object,
    pub(crate) occurred_at_ms: i64,
    pub(crate) kind: Kind,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Kind {
    Created,
    Deleted,
    Restored,
    Erased,
    Merged {
        survivor: Text,
        merged: Vec<Text>,
    },
    Property {
        name: Text,
        text: Text,
    },
    Association {
        to: Object,
        to_record: Text,
        removed: bool,
    },
}

/// Adds what an event of a webhook delivery tells.
pub(crate) fn delivered(
    source: &str,
    element: u32,
    event: &Event<'_>,
    changes: &mut Vec<Change>,
) -> Result<(), Reason> {
    let kind = json::text(event.subscription_type.or(event.event_type))?;
    if kind.is_empty() {
        return Err("an event has no type");
    }
    let Some((family, action)) = kind.split_once('.') else {
        return Ok(());
    };
    if action == "associationChange" {
        let Some(ends) = association_of(family, event)? else {
            return Ok(());
        };
        let occurred_at_ms = occurred_at(event.occurred_at)?;
        changes.push(association_change(source, element, occurred_at_ms, &ends)?);
        return Ok(());
    }
    let object = if family == "object" {
        let id = json::text(event.object_type_id)?;
        if id.is_empty() {
            return Err("a generic event does not say of which object type it is");
        }
        Object::from_type_id(&id)
    } else {
        Object::from_word(family)
    };
    let Some(object) = object else { return Ok(()) };
    let ids = [
        event.new_object_id,
        event.primary_object_id,
        event.object_id,
    ];
    let kind = match action {
        "creation" => Kind::Created,
        "deletion" => Kind::Deleted,
        "restore" => Kind::Restored,
        "privacyDeletion" => Kind::Erased,
        "merge" => merge(source, ids, event.merged_object_ids)?,
        "propertyChange" => property(
            source,
            json::text(event.property_name)?,
            event.property_value,
        )?,
        _ => return Ok(()),
    };
    if !matches!(kind, Kind::Merged { .. }) {
        check_names_a_record(event.object_id)?;
    }
    let occurred_at_ms = occurred_at(event.occurred_at)?;
    changes.push(Change {
        element,
        object,
        occurred_at_ms,
        kind,
    });
    Ok(())
}

/// Adds what an event of a journal file tells: of one that creates or updates, a change for each property too.
pub(crate) fn journalled(
    source: &str,
    element: u32,
    event: &JournalEvent<'_>,
    changes: &mut Vec<Change>,
) -> Result<(), Reason> {
    let family = json::text(event.kind)?.to_ascii_uppercase();
    let action = json::text(event.action)?.to_ascii_uppercase();
    if action.is_empty() && family.is_empty() {
        return Err("an event has neither type nor action");
    }
    // An association is told by its action, whatever its type is called.
    if family.contains("ASSOCIATION") || action.starts_with("ASSOCIATION_") {
        let Some(ends) = journalled_association(event, &action)? else {
            return Ok(());
        };
        let occurred_at_ms = occurred_at(event.occurred_at)?;
        changes.push(association_change(source, element, occurred_at_ms, &ends)?);
        return Ok(());
    }
    let is_erased = ["PRIVACY", "GDPR"]
        .iter()
        .any(|word| family.contains(word) || action.contains(word));
    let Some(object) = journalled_object(event, &family, is_erased)? else {
        return Ok(());
    };
    let ids = [
        event.new_object_id,
        event.primary_object_id,
        event.object_id,
    ];
    let (kind, has_values) = match &*action {
        _ if is_erased => (Some(Kind::Erased), false),
        "CREATE" => (Some(Kind::Created), true),
        "UPDATE" => (None, true),
        "DELETE" => (Some(Kind::Deleted), false),
        "RESTORE" => (Some(Kind::Restored), true),
        // After a merge the values are the survivor's, whatever is said here: it is read.
        "MERGE" => (Some(merge(source, ids, event.merged_object_ids)?), false),
        _ => return Ok(()),
    };
    if !matches!(kind, Some(Kind::Merged { .. })) {
        check_names_a_record(event.object_id)?;
    }
    let occurred_at_ms = occurred_at(event.occurred_at)?;
    let mut kinds: Vec<Kind> = kind.into_iter().collect();
    if has_values && let Some(Properties(properties)) = &event.property_changes {
        // By name, so that one that stands twice is told once, with its last text.
        let by_name: BTreeMap<&str, Raw<'_>> = properties
            .iter()
            .map(|(name, raw)| (&**name, *raw))
            .collect();
        for (name, raw) in by_name {
            kinds.push(property(source, Cow::Borrowed(name), raw)?);
        }
    }
    changes.extend(kinds.into_iter().map(|kind| Change {
        element,
        object,
        occurred_at_ms,
        kind,
    }));
    Ok(())
}

/// The object type of a journalled event; none where it is not ours.
fn journalled_object(
    event: &JournalEvent<'_>,
    family: &str,
    is_erased: bool,
) -> Result<Option<Object>, Reason> {
    let id = json::text(event.object_type_id)?;
    if !id.is_empty() {
        Ok(Object::from_type_id(&id))
    } else if is_erased {
        // HubSpot deletes contacts alone for privacy; one must never be missed for want of a field.
        Ok(Some(Object::Contacts))
    } else if family.contains("OBJECT") {
        Err("an event does not say of which object type it is")
    } else {
        Ok(None)
    }
}

/// The ends of a journalled association change; none where one of them is not ours.
fn journalled_association<'a>(
    event: &JournalEvent<'a>,
    action: &str,
) -> Result<Option<Ends<'a>>, Reason> {
    let from_id = json::text(event.from_object_type_id.or(event.object_type_id))?;
    let to_id = json::text(event.to_object_type_id.or(event.associated_object_type_id))?;
    let (from, to) = (Object::from_type_id(&from_id), Object::from_type_id(&to_id));
    let (Some(from), Some(to)) = (from, to) else {
        return Ok(None);
    };
    Ok(Some(Ends {
        from,
        to,
        named: event.object_id,
        from_record: event.from_object_id.or(event.object_id),
        to_record: event.to_object_id.or(event.associated_object_id),
        removed: is_true(event.association_removed)?
            || matches!(action, "ASSOCIATION_REMOVED" | "DELETE"),
    }))
}

/// The two records of an association.
struct Ends<'a> {
    from: Object,
    to: Object,
    /// The record that the event names as its own.
    named: Raw<'a>,
    from_record: Raw<'a>,
    to_record: Raw<'a>,
    removed: bool,
}

/// The ends of a delivered association change; none where one of them is not ours.
fn association_of<'a>(family: &str, event: &Event<'a>) -> Result<Option<Ends<'a>>, Reason> {
    let from_id = json::text(event.from_object_type_id)?;
    let to_id = json::text(event.to_object_type_id)?;
    let ends = if from_id.is_empty() || to_id.is_empty() {
        let word = json::text(event.association_type)?;
        let Some((from, to)) = word.split_once("_TO_") else {
            // Of types that are not ours nobody needs to know between what they are.
            let ours = family == "object" || Object::from_word(family).is_some();
            return if ours {
                Err("an association change does not say between which types")
            } else {
                Ok(None)
            };
        };
        (Object::from_word(from), Object::from_word(to))
    } else {
        (Object::from_type_id(&from_id), Object::from_type_id(&to_id))
    };
    let (Some(from), Some(to)) = ends else {
        return Ok(None);
    };
    Ok(Some(Ends {
        from,
        to,
        named: event.object_id,
        from_record: event.from_object_id.or(event.object_id),
        to_record: event.to_object_id,
        removed: is_true(event.association_removed)?,
    }))
}

/// The change, told of the record that the element names: the from side, unless the event calls the other its own.
fn association_change(
    source: &str,
    element: u32,
    occurred_at_ms: i64,
    ends: &Ends<'_>,
) -> Result<Change, Reason> {
    let from_record = json::text(ends.from_record)?;
    let to_record = json::text(ends.to_record)?;
    if from_record.is_empty() || to_record.is_empty() {
        return Err("an association change does not name both records");
    }
    let named = json::text(ends.named)?;
    let (object, to, to_record) = if named.is_empty() || named == from_record {
        (ends.from, ends.to, to_record)
    } else if named == to_record {
        (ends.to, ends.from, from_record)
    } else {
        return Err("an association change is of neither of its records");
    };
    let kind = Kind::Association {
        to,
        to_record: Text::of(source, to_record),
        removed: ends.removed,
    };
    Ok(Change {
        element,
        object,
        occurred_at_ms,
        kind,
    })
}

/// A merge: contacts and companies survive under a new id, others under the winner's
/// (C/updated-merge-functionality-for-contacts-and-companies). `ids` are the candidates, the likeliest survivor first;
/// one that is said to be merged away, as a primary that got a new id may be, comes after all that are not.
fn merge(source: &str, ids: [Raw<'_>; 3], losers: Raw<'_>) -> Result<Kind, Reason> {
    let losers = json::texts(losers)?;
    let mut named = Vec::new();
    for id in ids {
        named.push(json::text(id)?);
    }
    named.sort_by_key(|id| losers.contains(id));
    named.extend(losers);
    let mut seen = BTreeSet::new();
    let mut unique = named
        .iter()
        .filter(|id| !id.is_empty() && seen.insert(&**id))
        .map(|id| Text::of(source, id.clone()));
    let survivor = unique.next().ok_or("a merge names no record")?;
    Ok(Kind::Merged {
        survivor,
        merged: unique.collect(),
    })
}

fn property(source: &str, name: Cow<'_, str>, value: Raw<'_>) -> Result<Kind, Reason> {
    if name.is_empty() {
        return Err("a property change names no property");
    }
    Ok(Kind::Property {
        name: Text::of(source, name),
        text: Text::of(source, json::text(value)?),
    })
}

fn check_names_a_record(id: Raw<'_>) -> Result<(), Reason> {
    if json::text(id)?.is_empty() {
        return Err("an event names no record");
    }
    Ok(())
}

fn occurred_at(raw: Raw<'_>) -> Result<i64, Reason> {
    moment::read(&json::text(raw)?).map_err(|_| "an event does not say when it happened")
}

fn is_true(raw: Raw<'_>) -> Result<bool, Reason> {
    Ok(json::text(raw)?.eq_ignore_ascii_case("true"))
}
