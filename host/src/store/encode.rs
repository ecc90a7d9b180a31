//! How the vocabulary is written into SQLite's columns, and read back.

use rusqlite::types::{Value as Column, ValueRef};

use super::Error;
use crate::model::{
    Existence, KeyKind, RecordId, RunKind, RunStatus, SelectionRule, Shown, Status, Timestamp,
    UserIdentifier, Value, VariableId, VariableType, condition::Key,
};

/// A record id: an integer where it is one in canonical form, which is smaller
/// and sorts with its neighbours; else text.
pub fn record_id(id: &RecordId) -> Column {
    match id.as_str().parse::<i64>() {
        Ok(number) if number.to_string() == id.as_str() => Column::Integer(number),
        _ => Column::Text(id.as_str().to_owned()),
    }
}

/// Reads what [`record_id`] wrote.
pub fn read_record_id(column: ValueRef<'_>) -> Result<RecordId, Error> {
    match column {
        ValueRef::Integer(number) => Ok(number.to_string().into()),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|_| Error::Undecodable("record id"))?;
            Ok(text.into())
        }
        _ => Err(Error::Undecodable("record id")),
    }
}

/// A value, in a form that its variable's type gives back, that compares as the
/// value does, and that is equal only for equal values.
pub fn value(value: &Value) -> Column {
    match value {
        Value::Text(text) => Column::Text(text.clone()),
        Value::Number(number) => Column::Real(*number),
        Value::Boolean(boolean) => Column::Integer(i64::from(*boolean)),
        Value::Date(date) => Column::Text(date.to_string()),
        Value::Datetime(moment) => Column::Integer(moment.0),
        Value::List(items) => Column::Text(serde_json::Value::from(items.clone()).to_string()),
    }
}

/// A key, which compares as it does among those of its variable, and as
/// [`value`] writes the value where that is compared as it is.
pub fn key(key: &Key) -> Column {
    match key {
        Key::Whole(number) => Column::Integer(*number),
        Key::Number(number) => Column::Real(*number),
        Key::Text(text) => Column::Text(text.clone()),
    }
}

/// Reads what [`value`] wrote for a variable of type `variable_type`.
pub fn read_value(column: ValueRef<'_>, variable_type: VariableType) -> Result<Value, Error> {
    let wrong = || Error::Undecodable("value");
    let text = || column.as_str().map_err(|_| wrong());
    match variable_type {
        VariableType::Text => Ok(Value::Text(text()?.to_owned())),
        VariableType::Number => column.as_f64().map(Value::Number).map_err(|_| wrong()),
        VariableType::Boolean => column
            .as_i64()
            .map(|stored| Value::Boolean(stored != 0))
            .map_err(|_| wrong()),
        VariableType::Date => text()?.parse().map(Value::Date).map_err(|_| wrong()),
        VariableType::Datetime => column
            .as_i64()
            .map(|stored| Value::Datetime(Timestamp(stored)))
            .map_err(|_| wrong()),
        VariableType::List => serde_json::from_str(text()?)
            .map(Value::List)
            .map_err(|_| wrong()),
    }
}

/// A variable's type as it is stored.
pub fn read_variable_type(stored: &str) -> Result<VariableType, Error> {
    use VariableType::{Boolean, Date, Datetime, List, Number, Text};
    [Text, Number, Boolean, Date, Datetime, List]
        .into_iter()
        .find(|candidate| candidate.as_str() == stored)
        .ok_or(Error::Undecodable("variable type"))
}

/// The number of a kind of key; stored, so it never changes its meaning.
pub fn key_kind(kind: KeyKind) -> i64 {
    match kind {
        KeyKind::Email => 1,
        KeyKind::Id => 2,
        KeyKind::Number => 3,
    }
}

/// Reads what [`key_kind`] wrote.
pub fn read_key_kind(stored: i64) -> Result<KeyKind, Error> {
    let all = [KeyKind::Email, KeyKind::Id, KeyKind::Number];
    all.into_iter()
        .find(|kind| key_kind(*kind) == stored)
        .ok_or(Error::Undecodable("kind of key"))
}

/// The number of a user's identifier; stored, so it never changes its meaning.
pub fn identifier(identifier: UserIdentifier) -> i64 {
    match identifier {
        UserIdentifier::Email => 0,
        UserIdentifier::ExternalId => -1,
        UserIdentifier::Variable(VariableId(id)) => id,
    }
}

/// An existence, with the survivor of a merge.
pub fn existence(existence: &Existence) -> (i64, Option<Column>) {
    match existence {
        Existence::Unknown => (0, None),
        Existence::Exists => (1, None),
        Existence::Deleted => (2, None),
        Existence::Merged(survivor) => (3, survivor.as_ref().map(record_id)),
        Existence::Erased => (4, None),
    }
}

/// Reads what [`existence`] wrote.
pub fn read_existence(stored: i64, survivor: ValueRef<'_>) -> Result<Existence, Error> {
    Ok(match stored {
        0 => Existence::Unknown,
        1 => Existence::Exists,
        2 => Existence::Deleted,
        3 if survivor == ValueRef::Null => Existence::Merged(None),
        3 => Existence::Merged(Some(read_record_id(survivor)?)),
        4 => Existence::Erased,
        _ => return Err(Error::Undecodable("existence")),
    })
}

/// A word of one of the enumerations that are stored as their API's words.
pub fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        // Only the enumerations below are given, and they are words.
        other => unreachable!("not a word: {other:?}"),
    }
}

/// Reads what [`word`] wrote.
pub fn read_word<T: Word>(stored: &str) -> Result<T, Error> {
    serde_json::from_value(stored.into()).map_err(|_| Error::Undecodable(T::WHAT))
}

/// An enumeration that is stored as its API's words.
pub trait Word: serde::de::DeserializeOwned {
    /// What it is, for errors.
    const WHAT: &'static str;
}

impl Word for super::alerts::ChannelKind {
    const WHAT: &'static str = "kind of alert channel";
}

impl Word for super::shadows::Kind {
    const WHAT: &'static str = "kind of difference";
}

impl Word for super::shadows::Step {
    const WHAT: &'static str = "step of a shadow";
}

impl Word for Status {
    const WHAT: &'static str = "connection status";
}

impl Word for Shown {
    const WHAT: &'static str = "field mapping";
}

impl Word for SelectionRule {
    const WHAT: &'static str = "selection rule";
}

impl Word for RunKind {
    const WHAT: &'static str = "kind of run";
}

impl Word for RunStatus {
    const WHAT: &'static str = "status of a run";
}

/// A structure that is stored as JSON.
pub fn json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|_| Error::Undecodable("structure"))
}

/// Reads what [`json`] wrote.
pub fn read_json<T: serde::de::DeserializeOwned>(stored: &str) -> Result<T, Error> {
    serde_json::from_str(stored).map_err(|_| Error::Undecodable("structure"))
}
