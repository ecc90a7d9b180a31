//! Writes what a component answers, for people to read: the form of all expected outputs.

use std::fmt::Write;

use jiff::{SignedDuration, civil};

use crate::body::Elements;
use crate::contract::exports::jimo::connect::describe::Description;
use crate::contract::exports::jimo::connect::matching::RecordKeys;
use crate::contract::exports::jimo::connect::parse::{
    AssociationSet, BodyKind, ChangeKind, Interest, ParseError, SourceRecord,
};
use crate::contract::exports::jimo::connect::transform::{FieldMapping, Unreadable};
use crate::contract::jimo::connect::types::{UserIdentifier, Value};
use crate::{Instance, settings::Settings};

/// Runs one account's elements through a whole pass, and writes what every call answers.
///
/// # Errors
/// If the component faults.
pub fn pass(
    instance: &mut Instance,
    kind: &BodyKind,
    elements: &Elements,
    settings: &Settings,
) -> wasmtime::Result<String> {
    let mut out = String::new();
    let mut lines = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            // Writing to a text cannot fail.
            let _ = writeln!(out, "{title}\n  {}", lines.join("\n  "));
        }
    };
    lines(
        "elements of records",
        (0..)
            .zip(&elements.records)
            .map(|(at, ids): (u32, _)| {
                format!(
                    "{at}: {}",
                    if ids.is_empty() {
                        "none".to_owned()
                    } else {
                        ids.join(", ")
                    }
                )
            })
            .collect(),
    );
    let mut pass = match instance.parse(kind, &elements.json)? {
        Ok(pass) => pass,
        Err(ParseError::NotAnArray(reason)) => return Ok(format!("not an array: {reason}\n")),
        Err(ParseError::UnsupportedKind) => return Ok("unsupported kind\n".to_owned()),
    };
    lines(
        "refused",
        pass.refusals()?
            .iter()
            .map(|one| format!("{}: {}", one.element, one.reason))
            .collect(),
    );
    let interests = settings.interests();
    let changes = pass.changes(&interests)?;
    lines(
        "changes",
        changes
            .iter()
            .map(|change| {
                let (object, at) = (&change.object_type, moment(change.occurred_at));
                format!(
                    "{}: {object}, {at}: {}",
                    change.element,
                    change_kind(&change.kind, object, &interests)
                )
            })
            .collect(),
    );
    if let BodyKind::Records(object) = kind {
        let mine = interests
            .iter()
            .find(|interest| interest.object_type == *object);
        let names = mine
            .map(|interest| interest.properties.clone())
            .unwrap_or_default();
        lines(
            "records",
            pass.records(&names)?
                .iter()
                .map(|one| record(one, &names))
                .collect(),
        );
        for rule in settings
            .rules
            .iter()
            .filter(|rule| rule.object_type == *object)
        {
            lines(
                "match keys",
                pass.match_keys(rule)?.iter().map(record_keys).collect(),
            );
        }
    }
    lines(
        "associations",
        pass.associations()?.iter().map(association_set).collect(),
    );
    let converted = pass.convert(&settings.fields, &settings.tables)?;
    lines(
        "values",
        converted
            .iter()
            .map(|one| {
                let field = settings.fields.get(one.field as usize);
                format!(
                    "{}: {} = {}",
                    one.element,
                    field.map(field_name).unwrap_or_default(),
                    outcome(&one.outcome)
                )
            })
            .collect(),
    );
    if out.is_empty() {
        out.push_str("nothing\n");
    }
    Ok(out)
}

/// What a component says of itself.
pub fn description(description: &Description) -> String {
    let mut out = format!("{} ({})\n", description.connector, description.label);
    for object in &description.object_types {
        let selections: Vec<String> = object
            .selections
            .iter()
            .map(|rule| format!("{rule:?}"))
            .collect();
        let _ = writeln!(
            out,
            "{}: {}, {}; matched on {}; through {}; selected by {}",
            object.name,
            object.label,
            object.singular_label,
            object
                .default_match
                .as_ref()
                .map_or("nothing".to_owned(), |one| {
                    format!("{} as {}", one.property, identifier(one.identifier))
                }),
            or_nothing(&object.through),
            or_nothing(&selections),
        );
    }
    let bodies = [
        ("delivery", Some(&description.delivery)),
        ("journal file", description.journal_file.as_ref()),
        ("records page", description.records_page.as_ref()),
        ("associations page", description.associations_page.as_ref()),
    ];
    for (name, body) in bodies {
        let Some(body) = body else { continue };
        let path = |path: &Vec<String>| format!("/{}", path.join("/"));
        let records: Vec<String> = body.records.iter().map(path).collect();
        let _ = writeln!(
            out,
            "{name}: elements at {}, account at {}, records at {}",
            path(&body.elements),
            body.account.as_ref().map_or("nothing".to_owned(), path),
            or_nothing(&records),
        );
    }
    out
}

/// A value, or why there is none.
pub fn outcome(outcome: &Result<Value, Unreadable>) -> String {
    match outcome {
        Ok(Value::Empty) => "empty".to_owned(),
        Ok(Value::Text(text)) => format!("text {text:?}"),
        Ok(Value::Number(number)) => format!("number {number}"),
        Ok(Value::Boolean(boolean)) => format!("boolean {boolean}"),
        Ok(Value::Date(days)) => format!("date {}", day(*days)),
        Ok(Value::Datetime(ms)) => format!("datetime {}", moment(*ms)),
        Ok(Value::List(items)) => format!("list {items:?}"),
        Err(Unreadable::Redacted) => "unreadable: redacted".to_owned(),
        Err(Unreadable::Malformed) => "unreadable: malformed".to_owned(),
        Err(Unreadable::TooLong(characters)) => {
            format!("unreadable: too long, {characters} characters")
        }
        Err(Unreadable::OutOfRange) => "unreadable: out of range".to_owned(),
        Err(Unreadable::UnknownChoice(choice)) => format!("unreadable: unknown choice {choice:?}"),
    }
}

/// A record's match keys.
pub fn record_keys(record: &RecordKeys) -> String {
    let key = |key: &crate::contract::exports::jimo::connect::matching::MatchKey| {
        format!("{} {:?} {:?}", key.rank, key.kind, key.text)
    };
    let keys: Vec<String> = record.keys.iter().map(key).collect();
    format!("{}: {}", record.element, or_nothing(&keys))
}

fn identifier(identifier: UserIdentifier) -> &'static str {
    match identifier {
        UserIdentifier::Email => "e-mail",
        UserIdentifier::ExternalId => "external id",
        UserIdentifier::Variable => "a variable",
    }
}

fn change_kind(kind: &ChangeKind, object: &str, interests: &[Interest]) -> String {
    match kind {
        ChangeKind::Created => "created".to_owned(),
        ChangeKind::Deleted => "deleted".to_owned(),
        ChangeKind::Restored => "restored".to_owned(),
        ChangeKind::Erased => "erased".to_owned(),
        ChangeKind::Merged(merge) => format!(
            "merged into {}: {}",
            merge.survivor,
            or_nothing(&merge.merged)
        ),
        ChangeKind::PropertyChanged(property) => {
            let interest = interests
                .iter()
                .find(|interest| interest.object_type == object);
            let name =
                interest.and_then(|interest| interest.properties.get(property.property as usize));
            format!("{} = {:?}", name.map_or("?", String::as_str), property.text)
        }
        ChangeKind::AssociationChanged(change) => {
            let verb = if change.removed {
                "no more associated to"
            } else {
                "associated to"
            };
            format!("{verb} {} {}", change.to_type, change.to_record)
        }
    }
}

fn record(record: &SourceRecord, names: &[String]) -> String {
    let when = |ms: Option<i64>| ms.map_or("unknown".to_owned(), moment);
    let mut out = format!(
        "{}: created {}, modified {}",
        record.element,
        when(record.created_at),
        when(record.modified_at)
    );
    if record.archived {
        out.push_str(", archived");
    }
    if !record.merged.is_empty() {
        let _ = write!(out, ", merged from {}", record.merged.join(", "));
    }
    for property in &record.properties {
        let name = names.get(property.property as usize);
        let _ = write!(
            out,
            "\n     {} = {:?}",
            name.map_or("?", String::as_str),
            property.text
        );
    }
    out
}

fn association_set(set: &AssociationSet) -> String {
    let one = |one: &crate::contract::exports::jimo::connect::parse::Association| {
        let primary = if one.primary { ", primary" } else { "" };
        let labels: String = one
            .labels
            .iter()
            .map(|label| format!(", {label:?}"))
            .collect();
        format!("\n     {}{primary}{labels}", one.to_record)
    };
    format!(
        "{}:{}",
        set.element,
        set.associations.iter().map(one).collect::<String>()
    )
}

fn field_name(field: &FieldMapping) -> String {
    format!("{}.{}", field.object_type, field.property.name)
}

fn or_nothing(all: &[String]) -> String {
    if all.is_empty() {
        "nothing".to_owned()
    } else {
        all.join(", ")
    }
}

/// A moment as RFC 3339, by a calendar that is not the component's.
pub fn moment(ms: i64) -> String {
    let moment = epoch().checked_add(SignedDuration::from_millis(ms));
    let fraction = if ms % 1_000 == 0 { 0 } else { 3 };
    moment.map_or_else(
        |_| format!("{ms} ms"),
        |moment| format!("{moment:.fraction$}Z"),
    )
}

fn day(days: i32) -> String {
    let moment = epoch().checked_add(SignedDuration::from_hours(24 * i64::from(days)));
    moment.map_or_else(
        |_| format!("day {days}"),
        |moment| moment.date().to_string(),
    )
}

fn epoch() -> civil::DateTime {
    civil::date(1970, 1, 1).at(0, 0, 0, 0)
}
