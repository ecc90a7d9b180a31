//! Where two plugin versions differ: counted, and shown by examples.

use std::collections::BTreeMap;

use rusqlite::{Row, params};

use super::super::{Error, Tx, encode, records::RecordKey};
use crate::{
    log::Position,
    model::{ConnectionId, Existence, FieldId, ObjectType, RecordId, UserId},
};

/// Examples that are kept of one shadow, beside those of its faults, and of one kind and
/// place of difference.
pub const EXAMPLES_MAX: usize = 100;
const EXAMPLES_OF_PLACE_MAX: usize = 10;

/// Examples that are looked at, whether they may be kept, in one transaction.
const LOOKS_MAX: usize = 300;

/// Places that a shadow's differences are counted by; what differs elsewhere is
/// counted by its kind alone.
const PLACES_MAX: i64 = 1_000;

/// Users that are named with one example.
const USERS_SHOWN: usize = 5;

/// How many links of a record are counted for that.
const USERS_COUNTED: usize = 100;

/// How two versions differ: the active one, and the candidate.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What they say they are.
    Description,
    /// The properties that a mapping needs, or whether it can be used.
    Needs,
    /// The types of variable that a mapped property suits.
    Suitable,
    /// Both read a property's text, as different values.
    Value,
    /// Only the active one reads it.
    ValueLost,
    /// Only the candidate reads it.
    ValueGained,
    /// Neither reads it, for different reasons.
    Reason,
    /// They take different texts for the property's.
    Text,
    /// They match a record by different keys.
    MatchKeys,
    /// They tell of one change at different moments.
    Moment,
    /// Only the active one tells of a change.
    ChangeMissing,
    /// Only the candidate does.
    ChangeAdded,
    /// Only the active one tells that a record is to be erased.
    ErasureMissing,
    /// Only the candidate does.
    ErasureAdded,
    /// Only the active one refuses an event.
    RefusalMissing,
    /// Only the candidate does.
    RefusalAdded,
    /// Only the active one failed on a body.
    FaultMissing,
    /// Only the candidate did.
    FaultAdded,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::Needs => "needs",
            Self::Suitable => "suitable",
            Self::Value => "value",
            Self::ValueLost => "value_lost",
            Self::ValueGained => "value_gained",
            Self::Reason => "reason",
            Self::Text => "text",
            Self::MatchKeys => "match_keys",
            Self::Moment => "moment",
            Self::ChangeMissing => "change_missing",
            Self::ChangeAdded => "change_added",
            Self::ErasureMissing => "erasure_missing",
            Self::ErasureAdded => "erasure_added",
            Self::RefusalMissing => "refusal_missing",
            Self::RefusalAdded => "refusal_added",
            Self::FaultMissing => "fault_missing",
            Self::FaultAdded => "fault_added",
        }
    }
}

/// How and where two versions differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// The object type, where it is of one.
    pub object_type: Option<ObjectType>,
    /// The property, or what happened.
    pub name: String,
}

/// An example of a difference, as it is found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// How and where they differ.
    pub difference: Difference,
    /// The connection.
    pub connection: Option<ConnectionId>,
    /// The field that the property feeds.
    pub field: Option<FieldId>,
    /// The record.
    pub record: Option<RecordId>,
    /// The entry of the log, where what differs is of a whole one.
    pub position: Option<Position>,
    /// What the active version says.
    pub active: Option<serde_json::Value>,
    /// What the candidate says.
    pub candidate: Option<serde_json::Value>,
    /// Whether they say something of a user's property.
    pub tells: bool,
}

/// An example of a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// How and where they differ.
    pub difference: Difference,
    /// The connection.
    pub connection: Option<ConnectionId>,
    /// The name of the variable that the property feeds.
    pub variable: Option<String>,
    /// The record.
    pub record: Option<RecordId>,
    /// Some of the users whom the record reaches now.
    pub users: Vec<UserId>,
    /// How many these are, as far as they are counted: up to some hundred.
    pub user_count: usize,
    /// The entry of the log, where what differs is of a whole one.
    pub position: Option<Position>,
    /// What the active version says.
    pub active: Option<serde_json::Value>,
    /// What the candidate says.
    pub candidate: Option<serde_json::Value>,
}

impl Tx<'_> {
    /// Counts differences.
    pub fn add_shadow_difference(
        &self,
        id: i64,
        difference: &Difference,
        count: u64,
    ) -> Result<(), Error> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let object_type = object_type(difference);
        let kind = difference.kind.as_str();
        let counted = self
            .statement(
                "UPDATE shadow_differences SET count = count + ?5
                 WHERE shadow = ?1 AND kind = ?2 AND object_type = ?3 AND name = ?4",
            )?
            .execute(params![id, kind, object_type, difference.name, count])?;
        if counted > 0 {
            return Ok(());
        }
        let places: i64 = self
            .statement("SELECT count(*) FROM shadow_differences WHERE shadow = ?1")?
            .query_one([id], |row| row.get(0))?;
        let (object_type, name) = match places < PLACES_MAX {
            true => (object_type, difference.name.as_str()),
            false => ("", ""),
        };
        self.statement(
            "INSERT INTO shadow_differences (shadow, kind, object_type, name, count)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (shadow, kind, object_type, name)
                 DO UPDATE SET count = count + excluded.count",
        )?
        .execute(params![id, kind, object_type, name, count])?;
        Ok(())
    }

    /// Keeps examples of differences, within bounds; none of an erased record, and what
    /// tells of a user's property only where the record reaches a user.
    pub fn add_shadow_examples(&self, id: i64, found: &[Found]) -> Result<(), Error> {
        if found.is_empty() {
            return Ok(());
        }
        let mut kept: BTreeMap<Difference, usize> = BTreeMap::new();
        for example in self.shadow_examples_kept(id)? {
            *kept.entry(example).or_default() += 1;
        }
        // What keeps a version from being switched to has room of its own: it is asked
        // for first of all.
        let is_fault = |difference: &Difference| difference.kind == Kind::FaultAdded;
        let others = kept.iter().filter(|(difference, _)| !is_fault(difference));
        let mut room = EXAMPLES_MAX.saturating_sub(others.map(|(_, count)| count).sum());
        let mut looks = LOOKS_MAX;
        let (faults, others): (Vec<&Found>, Vec<&Found>) =
            found.iter().partition(|found| is_fault(&found.difference));
        for found in faults.into_iter().chain(others) {
            let is_fault = is_fault(&found.difference);
            let of_place = kept.get(&found.difference).copied().unwrap_or_default();
            if looks == 0 || room == 0 && !is_fault {
                break;
            }
            if of_place < EXAMPLES_OF_PLACE_MAX {
                looks -= 1;
                if self.add_shadow_example(id, found)? {
                    room -= usize::from(!is_fault);
                    kept.insert(found.difference.clone(), of_place + 1);
                }
            }
        }
        Ok(())
    }

    /// How and where the examples that are kept differ.
    fn shadow_examples_kept(&self, id: i64) -> Result<Vec<Difference>, Error> {
        let mut statement = self
            .statement("SELECT kind, object_type, name FROM shadow_examples WHERE shadow = ?1")?;
        let mut rows = statement.query([id])?;
        let mut kept = Vec::new();
        while let Some(row) = rows.next()? {
            kept.push(read_difference(row, 0)?);
        }
        Ok(kept)
    }

    /// Keeps an example, unless nothing may be kept of whom it is of. Returns whether.
    fn add_shadow_example(&self, id: i64, found: &Found) -> Result<bool, Error> {
        let difference = &found.difference;
        let held = match (found.connection, &difference.object_type, &found.record) {
            (Some(connection), Some(object_type), Some(record)) => {
                self.find_record(connection, object_type, record)?
            }
            _ => None,
        };
        if held
            .as_ref()
            .is_some_and(|held| held.existence == Existence::Erased)
        {
            return Ok(false);
        }
        let reaches = match &held {
            Some(held) => self.is_reached(held.key)?,
            None => false,
        };
        if found.tells && !reaches {
            return Ok(false);
        }
        let json = |said: &Option<serde_json::Value>| said.as_ref().map(ToString::to_string);
        self.statement(
            "INSERT INTO shadow_examples
                 (shadow, kind, object_type, name, connection, field, record, key, position,
                  active, candidate)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            id,
            difference.kind.as_str(),
            object_type(difference),
            difference.name,
            found.connection.map(|connection| connection.0),
            found.field.map(|field| field.0),
            found.record.as_ref().map(encode::record_id),
            held.filter(|_| reaches).map(|held| held.key.0),
            found.position.map(|position| position.0),
            json(&found.active),
            json(&found.candidate),
        ])?;
        Ok(true)
    }

    /// How often the versions differed, by how and where.
    pub fn shadow_differences(&self, id: i64) -> Result<Vec<(Difference, u64)>, Error> {
        let mut statement = self.statement(
            "SELECT kind, object_type, name, count FROM shadow_differences WHERE shadow = ?1",
        )?;
        let mut rows = statement.query([id])?;
        let mut differences = Vec::new();
        while let Some(row) = rows.next()? {
            let count = u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default();
            differences.push((read_difference(row, 0)?, count));
        }
        differences.sort();
        Ok(differences)
    }

    /// How often the versions differed.
    pub fn shadow_difference_count(&self, id: i64) -> Result<u64, Error> {
        let count: i64 = self
            .statement("SELECT coalesce(sum(count), 0) FROM shadow_differences WHERE shadow = ?1")?
            .query_one([id], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The examples that are kept, in the order of how and where they differ.
    pub fn shadow_examples(&self, id: i64) -> Result<Vec<Example>, Error> {
        let mut statement = self.statement(
            "SELECT e.kind, e.object_type, e.name, e.connection, v.name, e.record, e.key,
                    e.position, e.active, e.candidate
             FROM shadow_examples e
             LEFT JOIN fields f ON f.id = e.field
             LEFT JOIN variables v ON v.id = f.variable
             WHERE e.shadow = ?1 ORDER BY e.id",
        )?;
        let mut rows = statement.query([id])?;
        let mut examples = Vec::new();
        while let Some(row) = rows.next()? {
            let key: Option<i64> = row.get(6)?;
            let mut users = match key {
                Some(key) => self.some_users_reached(RecordKey(key), USERS_COUNTED)?,
                None => Vec::new(),
            };
            let user_count = users.len();
            users.truncate(USERS_SHOWN);
            let json = |said: Option<String>| {
                said.map(|said| serde_json::from_str(&said))
                    .transpose()
                    .map_err(|_| Error::Undecodable("example of a difference"))
            };
            examples.push(Example {
                difference: read_difference(row, 0)?,
                connection: row.get::<_, Option<i64>>(3)?.map(ConnectionId),
                variable: row.get(4)?,
                record: match row.get_ref(5)? {
                    rusqlite::types::ValueRef::Null => None,
                    stored => Some(encode::read_record_id(stored)?),
                },
                users,
                user_count,
                position: row.get::<_, Option<i64>>(7)?.map(Position),
                active: json(row.get(8)?)?,
                candidate: json(row.get(9)?)?,
            });
        }
        examples.sort_by(|a, b| a.difference.cmp(&b.difference));
        Ok(examples)
    }

    /// Forgets examples of a record that is erased, whatever type it is said to be of;
    /// and those that name no record, for they may be of it.
    pub(in crate::store) fn forget_shadow_record(
        &self,
        connection: ConnectionId,
        record: &RecordId,
    ) -> Result<(), Error> {
        self.statement(
            "DELETE FROM shadow_examples
             WHERE connection = ?1 AND (record = ?2 OR record IS NULL)",
        )?
        .execute(params![connection.0, encode::record_id(record)])?;
        Ok(())
    }

    /// Forgets examples of all records of a connection that reach users: fewer do now.
    pub(in crate::store) fn forget_shadow_reached(
        &self,
        connection: ConnectionId,
    ) -> Result<(), Error> {
        let sql = "DELETE FROM shadow_examples WHERE connection = ?1 AND key IS NOT NULL";
        self.execute_by_id(sql, connection.0)?;
        Ok(())
    }
}

fn object_type(difference: &Difference) -> &str {
    let object_type = difference.object_type.as_ref();
    object_type.map_or("", ObjectType::as_str)
}

fn read_difference(row: &Row<'_>, first: usize) -> Result<Difference, Error> {
    let object_type: String = row.get(first + 1)?;
    Ok(Difference {
        kind: encode::read_word(row.get_ref(first)?.as_str().unwrap_or_default())?,
        object_type: (!object_type.is_empty()).then(|| object_type.into()),
        name: row.get(first + 2)?,
    })
}
