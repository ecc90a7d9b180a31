//! What is held under a conversion that changed, until it is converted again.

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Error, Tx, encode, records::RecordKey, registers::read_register};
use crate::model::{
    AccountId, ConnectionId, FieldId, FieldMapping, MappingId, ObjectType, ProjectId, RecordId,
    Register,
};

/// A field whose conversion changed, and the connection that it is of.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The field.
    pub field: FieldId,
    /// Its object mapping.
    pub mapping: MappingId,
    /// Its connection.
    pub connection: ConnectionId,
    /// The connection's project.
    pub project: ProjectId,
    /// The connection's account.
    pub account: AccountId,
    /// The record up to which it is done.
    pub after: Option<RecordId>,
}

/// A register, and the record that it is of.
#[derive(Clone, Debug)]
pub struct HeldRegister {
    /// The record's number.
    pub key: RecordKey,
    /// The record.
    pub record: RecordId,
    /// The register.
    pub register: Register,
}

const SOME: &str = "
    SELECT g.text, g.stamp, g.sequence, g.unreadable,
           g.readable_text, g.readable_stamp, g.readable_sequence, g.value, r.id, r.record
    FROM (SELECT id, record FROM records
          WHERE connection = ?1 AND object_type = ?2 AND reached ORDER BY id LIMIT ?4) r
    JOIN registers g ON g.record = r.id AND g.field = ?3 LIMIT ?5";

fn held_registers(
    mut rows: rusqlite::Rows<'_>,
    field: &FieldMapping,
) -> Result<Vec<HeldRegister>, Error> {
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        held.push(HeldRegister {
            key: RecordKey(row.get(8)?),
            record: encode::read_record_id(row.get_ref(9)?)?,
            register: read_register(row, field.target)?,
        });
    }
    Ok(held)
}

impl Tx<'_> {
    /// Changes a field's definition and what it shows. What is held of it has to
    /// be converted again from the start.
    pub fn change_field(&self, id: FieldId, field: &FieldMapping) -> Result<(), Error> {
        self.connection.execute(
            "UPDATE fields SET property_type = ?2, field_type = ?3, show = ?4 WHERE id = ?1",
            params![
                id.0,
                field.property.property_type,
                field.property.field_type,
                encode::word(&field.show)
            ],
        )?;
        self.connection.execute(
            "INSERT OR REPLACE INTO conversions (field) VALUES (?1)",
            [id.0],
        )?;
        let connection = self
            .statement(
                "SELECT m.connection FROM fields f JOIN object_mappings m ON m.id = f.mapping
                 WHERE f.id = ?1",
            )?
            .query_one([id.0], |row| row.get(0).map(ConnectionId))?;
        self.connection_changed(connection)
    }

    /// The first field of which something is to be converted again, of a connector
    /// whose plugin runs, but for those that are passed over.
    pub fn next_conversion(
        &self,
        running: &[String],
        passed: &[i64],
    ) -> Result<Option<FieldId>, Error> {
        let next: Option<i64> = self
            .statement(
                "SELECT min(n.field) FROM conversions n
                 JOIN fields f ON f.id = n.field
                 JOIN object_mappings m ON m.id = f.mapping
                 JOIN connections c ON c.id = m.connection
                 WHERE c.connector IN (SELECT value FROM json_each(?1))
                   AND n.field NOT IN (SELECT value FROM json_each(?2))",
            )?
            .query_one(
                [json!(running).to_string(), json!(passed).to_string()],
                |row| row.get(0),
            )?;
        Ok(next.map(FieldId))
    }

    /// What is to be converted again of a field, if anything is.
    pub fn pending_conversion(&self, field: FieldId) -> Result<Option<Pending>, Error> {
        let mut statement = self.statement(
            "SELECT n.field, m.id, c.id, c.project, c.account, n.after
             FROM conversions n
             JOIN fields f ON f.id = n.field
             JOIN object_mappings m ON m.id = f.mapping
             JOIN connections c ON c.id = m.connection
             WHERE n.field = ?1",
        )?;
        let mut rows = statement.query([field.0])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let after = match row.get_ref(5)? {
            rusqlite::types::ValueRef::Null => None,
            stored => Some(encode::read_record_id(stored)?),
        };
        Ok(Some(Pending {
            field: FieldId(row.get(0)?),
            mapping: MappingId(row.get(1)?),
            connection: ConnectionId(row.get(2)?),
            project: ProjectId(row.get(3)?),
            account: AccountId(row.get(4)?),
            after,
        }))
    }

    /// The next registers of a field whose conversion changed, in the order of
    /// their records.
    pub fn registers_to_convert(
        &self,
        pending: &Pending,
        object_type: &ObjectType,
        field: &FieldMapping,
        limit: usize,
    ) -> Result<Vec<HeldRegister>, Error> {
        // Only records that reach a user have registers. No record comes before
        // the least number.
        let mut statement = self.statement(
            "SELECT g.text, g.stamp, g.sequence, g.unreadable,
                    g.readable_text, g.readable_stamp, g.readable_sequence, g.value,
                    r.id, r.record
             FROM records r JOIN registers g ON g.record = r.id AND g.field = ?3
             WHERE r.connection = ?1 AND r.object_type = ?2 AND r.reached
               AND r.record > coalesce(?4, -9e999)
             ORDER BY r.record LIMIT ?5",
        )?;
        let rows = statement.query(params![
            pending.connection.0,
            self.object_type_id(object_type)?,
            field.id.0,
            pending.after.as_ref().map(encode::record_id),
            i64::try_from(limit).unwrap_or(i64::MAX)
        ])?;
        held_registers(rows, field)
    }

    /// Some registers of a connection's field, at most `limit`: of the first records
    /// that reach a user, of which at most `records_max` are looked at.
    pub fn some_registers(
        &self,
        (connection, object_type, field): (ConnectionId, &ObjectType, &FieldMapping),
        records_max: usize,
        limit: usize,
    ) -> Result<Vec<HeldRegister>, Error> {
        let mut statement = self.statement(SOME)?;
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let rows = statement.query(params![
            connection.0,
            self.object_type_id(object_type)?,
            field.id.0,
            count(records_max),
            count(limit)
        ])?;
        held_registers(rows, field)
    }

    /// What is held of a field is converted again up to a record; to the end,
    /// where none is named.
    pub fn converted(&self, field: FieldId, up_to: Option<&RecordId>) -> Result<(), Error> {
        match up_to {
            None => {
                self.execute_by_id("DELETE FROM conversions WHERE field = ?1", field.0)?;
            }
            Some(record) => {
                self.connection.execute(
                    "UPDATE conversions SET after = ?2 WHERE field = ?1",
                    params![field.0, encode::record_id(record)],
                )?;
            }
        }
        Ok(())
    }

    /// Whether anything is to be converted again.
    pub fn has_conversions(&self) -> Result<bool, Error> {
        let found = self
            .statement("SELECT 1 FROM conversions LIMIT 1")?
            .query_row([], |_| Ok(()))
            .optional()?;
        Ok(found.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_registers_are_found_by_the_records_that_reach_users_alone() {
        let plan = super::super::query_plan(SOME);
        let records = "SEARCH records USING INDEX records_reached (connection=? AND object_type=?)";
        assert!(plan.iter().any(|step| step == records), "{plan:#?}");
    }
}
