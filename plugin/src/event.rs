//! From one event, of a webhook delivery or of the journal, to the changes that it tells.
//!
//! An event of a type that is unknown, or of records that are not ours, tells nothing and is no error; one of a known
//! type that lacks what the type needs is refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::hubspot::{Event, JournalEvent, Object};
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
    let kind = match action {
        "creation" => Kind::Created,
        "deletion" => Kind::Deleted,
        "restore" => Kind::Restored,
        "privacyDeletion" => Kind::Erased,
        "merge" => merge(
            source,
            [
                event.new_object_id,
                event.primary_object_id,
                event.object_id,
            ],
            event.merged_object_ids,
        )?,
        "propertyChange" => property(
            source,
            json::text(event.property_name)?,
            event.property_value,
        )?,
        _ => return Ok(()),
    };
    if event.object_id.is_none() && !matches!(kind, Kind::Merged { .. }) {
        return Err("an event names no record");
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
        let from_type = json::text(event.from_object_type_id.or(event.object_type_id))?;
        let to_type = json::text(event.to_object_type_id.or(event.associated_object_type_id))?;
        let (Some(from), Some(to)) = (
            Object::from_type_id(&from_type),
            Object::from_type_id(&to_type),
        ) else {
            return Ok(());
        };
        let ends = Ends {
            from,
            to,
            named: event.object_id,
            from_record: event.from_object_id.or(event.object_id),
            to_record: event.to_object_id.or(event.associated_object_id),
            removed: is_true(event.association_removed)?
                || matches!(&*action, "ASSOCIATION_REMOVED" | "DELETE"),
        };
        changes.push(association_change(
            source,
            element,
            occurred_at(event.occurred_at)?,
            &ends,
        )?);
        return Ok(());
    }
    let is_erased = ["PRIVACY", "GDPR"]
        .iter()
        .any(|word| family.contains(word) || action.contains(word));
    let type_id = json::text(event.object_type_id)?;
    let object = if !type_id.is_empty() {
        Object::from_type_id(&type_id)
    } else if is_erased {
        // HubSpot deletes contacts alone for privacy; one must never be missed for want of a field.
        Some(Object::Contacts)
    } else if family.contains("OBJECT") {
        return Err("an event does not say of which object type it is");
    } else {
        None
    };
    let Some(object) = object else {
        return Ok(());
    };
    let kind = match &*action {
        _ if is_erased => Some(Kind::Erased),
        "CREATE" => Some(Kind::Created),
        "DELETE" => Some(Kind::Deleted),
        "RESTORE" => Some(Kind::Restored),
        // After a merge the values are the survivor's, whatever is said here: it is read.
        "MERGE" => Some(merge(
            source,
            [
                event.new_object_id,
                event.primary_object_id,
                event.object_id,
            ],
            event.merged_object_ids,
        )?),
        "UPDATE" => None,
        _ => return Ok(()),
    };
    if event.object_id.is_none() && !matches!(kind, Some(Kind::Merged { .. })) {
        return Err("an event names no record");
    }
    let occurred_at_ms = occurred_at(event.occurred_at)?;
    let has_values = matches!(kind, None | Some(Kind::Created | Kind::Restored));
    let mut kinds: Vec<Kind> = kind.into_iter().collect();
    if has_values && let Some(properties) = &event.property_changes {
        // By name, so that one that stands twice is told once, with its last text.
        let properties: BTreeMap<&str, Raw<'_>> = properties
            .0
            .iter()
            .map(|(name, raw)| (&**name, *raw))
            .collect();
        for (name, raw) in properties {
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
/// (C/updated-merge-functionality-for-contacts-and-companies). `ids` are the candidates, the likeliest survivor first.
fn merge(source: &str, ids: [Raw<'_>; 3], losers: Raw<'_>) -> Result<Kind, Reason> {
    let mut named = Vec::new();
    for id in ids {
        named.push(json::text(id)?);
    }
    named.extend(json::texts(losers)?);
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

fn occurred_at(raw: Raw<'_>) -> Result<i64, Reason> {
    moment::read(&json::text(raw)?).map_err(|_| "an event does not say when it happened")
}

fn is_true(raw: Raw<'_>) -> Result<bool, Reason> {
    Ok(json::text(raw)?.eq_ignore_ascii_case("true"))
}
