//! Registers, and the values that users show.

use rusqlite::{
    OptionalExtension, params,
    types::{Value as Column, ValueRef},
};

use super::{Error, Tx, encode, records::RecordKey};
use crate::model::{
    FieldId, Readable, Register, Timestamp, UserId, Value, VariableId, VariableType, Version,
};

/// A value to be shown on a user, with where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct FedValue {
    /// The user.
    pub user: UserId,
    /// The variable.
    pub variable: VariableId,
    /// The value; none empties the variable.
    pub value: Option<Value>,
    /// The field mapping.
    pub field: FieldId,
    /// The record.
    pub record: RecordKey,
    /// The source's stamp.
    pub changed_at: Timestamp,
}

/// Where a user's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// It was set in Jimo.
    Own,
    /// A record of a source.
    Record(RecordKey),
}

impl Tx<'_> {
    /// The register of a record's field; none where nothing was said.
    pub fn register(
        &self,
        record: RecordKey,
        field: FieldId,
        target: VariableType,
    ) -> Result<Option<Register>, Error> {
        let mut statement = self.statement(
            "SELECT text, stamp, sequence, unreadable,
                    readable_text, readable_stamp, readable_sequence, value
             FROM registers WHERE record = ?1 AND field = ?2",
        )?;
        let mut rows = statement.query(params![record.0, field.0])?;
        rows.next()?
            .map(|row| read_register(row, target))
            .transpose()
    }

    /// The newest stamp of a record's registers; none where it has none.
    pub fn newest_stamp(&self, record: RecordKey) -> Result<Option<Timestamp>, Error> {
        let newest: Option<i64> = self
            .statement("SELECT max(stamp) FROM registers WHERE record = ?1")?
            .query_one([record.0], |row| row.get(0))?;
        Ok(newest.map(Timestamp))
    }

    /// Writes a register.
    pub fn save_register(
        &self,
        record: RecordKey,
        field: FieldId,
        register: &Register,
    ) -> Result<(), Error> {
        // The readable slot is written out only where it is not the newest.
        let apart = register
            .unreadable
            .is_some()
            .then_some(register.readable.as_ref())
            .flatten();
        let value = register.readable.as_ref().and_then(readable_value);
        self.statement(
            "INSERT INTO registers (record, field, text, stamp, sequence, unreadable,
                    readable_text, readable_stamp, readable_sequence, value)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (record, field) DO UPDATE SET
                    text = excluded.text, stamp = excluded.stamp, sequence = excluded.sequence,
                    unreadable = excluded.unreadable, readable_text = excluded.readable_text,
                    readable_stamp = excluded.readable_stamp,
                    readable_sequence = excluded.readable_sequence, value = excluded.value",
        )?
        .execute(params![
            record.0,
            field.0,
            register.text,
            register.version.stamp.0,
            register.version.sequence,
            register.unreadable,
            apart.map(|readable| &readable.text),
            apart.map(|readable| readable.version.stamp.0),
            apart.map(|readable| readable.version.sequence),
            value
        ])?;
        Ok(())
    }

    /// Shows a value on a user. Returns whether anything changed: a value that
    /// is there already, from wherever in the same field, is left alone.
    pub fn show_value(&self, fed: &FedValue, now: Timestamp) -> Result<bool, Error> {
        let changed = self.keeping_sought(fed.user, fed.variable, || self.write_fed(fed, now))?;
        Ok(changed > 0)
    }

    fn write_fed(&self, fed: &FedValue, now: Timestamp) -> Result<usize, Error> {
        Ok(match &fed.value {
            Some(value) => self
                .statement(
                    "INSERT INTO user_values
                        (user, variable, value, field, record, changed_at, written_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                     ON CONFLICT (user, variable) DO UPDATE SET
                        value = excluded.value, field = excluded.field, record = excluded.record,
                        changed_at = excluded.changed_at, written_at = excluded.written_at
                     WHERE value IS NOT excluded.value OR field IS NOT excluded.field
                        OR record IS NOT excluded.record",
                )?
                .execute(params![
                    fed.user.0,
                    fed.variable.0,
                    encode::value(value),
                    fed.field.0,
                    fed.record.0,
                    fed.changed_at.0,
                    now.0
                ])?,
            // What is not shown is none to be taken away: its field's release does.
            None => self
                .statement(
                    "DELETE FROM user_values WHERE user = ?1 AND variable = ?2
                        AND NOT EXISTS (SELECT 1 FROM released_fields r
                                        WHERE r.field = user_values.field AND NOT r.keep)",
                )?
                .execute(params![fed.user.0, fed.variable.0])?,
        })
    }

    /// Where a user's value comes from; none where they have none.
    pub fn value_source(
        &self,
        user: UserId,
        variable: VariableId,
    ) -> Result<Option<ValueSource>, Error> {
        Ok(self
            .statement("SELECT record FROM shown_values WHERE user = ?1 AND variable = ?2")?
            .query_row(params![user.0, variable.0], |row| {
                let record: Option<i64> = row.get(0)?;
                Ok(record.map_or(ValueSource::Own, |record| {
                    ValueSource::Record(RecordKey(record))
                }))
            })
            .optional()?)
    }

    /// The record that a user's value comes from; none where it is Jimo's own,
    /// or there is none.
    pub fn value_record(
        &self,
        user: UserId,
        variable: VariableId,
    ) -> Result<Option<RecordKey>, Error> {
        Ok(match self.value_source(user, variable)? {
            Some(ValueSource::Record(record)) => Some(record),
            Some(ValueSource::Own) | None => None,
        })
    }

    /// Takes from a user what a field showed. Returns whether it showed
    /// anything.
    pub fn withdraw_value(
        &self,
        user: UserId,
        variable: VariableId,
        field: FieldId,
    ) -> Result<bool, Error> {
        let removed = self.keeping_sought(user, variable, || {
            let sql = "DELETE FROM user_values WHERE user = ?1 AND variable = ?2 AND field = ?3";
            let mut statement = self.statement(sql)?;
            Ok(statement.execute(params![user.0, variable.0, field.0])?)
        })?;
        Ok(removed > 0)
    }
}

/// The readable slot's value as it is stored: where it is the slot's text as it
/// stands, as an empty blob, for registers are most of the store.
fn readable_value(readable: &Readable) -> Option<Column> {
    match readable.value.as_ref()? {
        Value::Text(text) if *text == readable.text => Some(Column::Blob(Vec::new())),
        value => Some(encode::value(value)),
    }
}

/// Reads a register from a row that begins with its columns.
pub(super) fn read_register(
    row: &rusqlite::Row<'_>,
    target: VariableType,
) -> Result<Register, Error> {
    let text: String = row.get(0)?;
    let version = Version {
        stamp: Timestamp(row.get(1)?),
        sequence: row.get(2)?,
    };
    let unreadable: Option<String> = row.get(3)?;
    let slot = match (&unreadable, row.get::<_, Option<String>>(4)?) {
        (None, _) => Some((text.clone(), version)),
        (Some(_), Some(text)) => {
            let version = Version {
                stamp: Timestamp(row.get(5)?),
                sequence: row.get(6)?,
            };
            Some((text, version))
        }
        (Some(_), None) => None,
    };
    let readable = match slot {
        Some((text, version)) => Some(Readable {
            value: match row.get_ref(7)? {
                ValueRef::Null => None,
                ValueRef::Blob(_) => Some(Value::Text(text.clone())),
                stored => Some(encode::read_value(stored, target)?),
            },
            text,
            version,
        }),
        None => None,
    };
    Ok(Register {
        text,
        version,
        unreadable,
        readable,
    })
}
