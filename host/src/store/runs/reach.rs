//! What a run goes through: the users that have an identifier, and the records
//! that reach users.

use rusqlite::{OptionalExtension, params};

use crate::{
    model::{ConnectionId, KeyKind, ObjectType, ProjectId, RecordId, Timestamp, UserIdentifier},
    store::{Error, Tx, encode, records::RecordKey},
};

/// A record that a run asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// Its number.
    pub key: RecordKey,
    /// The source's id.
    pub record: RecordId,
    /// Whether what is asked of it was answered since the run began.
    pub is_done: bool,
}

impl Tx<'_> {
    /// How many records of a type reach users.
    pub fn reached_count(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
    ) -> Result<u64, Error> {
        let count: i64 = self
            .statement(
                "SELECT count(*) FROM records
                 WHERE connection = ?1 AND object_type = ?2 AND reached AND existence < 3",
            )?
            .query_one(
                params![connection.0, self.object_type_id(object_type)?],
                |row| row.get(0),
            )?;
        Ok(count.unsigned_abs())
    }

    /// Records of a type that reach users, in the order of their numbers: those
    /// after `after`, at most `limit`. Whether they were read since `sequence`
    /// comes with each.
    pub fn reached_records(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        after: RecordKey,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<RunRecord>, Error> {
        let mut statement = self.statement(
            "SELECT id, record, read_sequence > ?4 FROM records
             WHERE id > ?3 AND connection = ?1 AND object_type = ?2 AND reached AND existence < 3
             ORDER BY id LIMIT ?5",
        )?;
        let rows = statement.query(params![
            connection.0,
            self.object_type_id(object_type)?,
            after.0,
            sequence,
            i64::try_from(limit).unwrap_or(i64::MAX)
        ])?;
        read_run_records(rows)
    }

    /// Records of a type that have links, as [`Tx::reached_records`]; whether
    /// their associations to `to_type` were read since `sequence` comes with
    /// each.
    pub fn linked_records_after(
        &self,
        connection: ConnectionId,
        (object_type, to_type): (&ObjectType, &ObjectType),
        after: RecordKey,
        sequence: i64,
        limit: usize,
    ) -> Result<Vec<RunRecord>, Error> {
        let mut statement = self.statement(
            "SELECT r.id, r.record, coalesce(a.sequence > ?4, 0) FROM records r
             LEFT JOIN association_registers a ON a.from_record = r.id AND a.to_type = ?6
             WHERE r.id > ?3 AND r.connection = ?1 AND r.object_type = ?2 AND r.reached
               AND r.existence < 3
             ORDER BY r.id LIMIT ?5",
        )?;
        let rows = statement.query(params![
            connection.0,
            self.object_type_id(object_type)?,
            after.0,
            sequence,
            i64::try_from(limit).unwrap_or(i64::MAX),
            self.object_type_id(to_type)?
        ])?;
        read_run_records(rows)
    }

    /// How many users of a connection's project have an identifier.
    pub fn identified_users(
        &self,
        project: ProjectId,
        identifier: UserIdentifier,
    ) -> Result<u64, Error> {
        let count: i64 = self
            .statement(
                "SELECT count(DISTINCT user) FROM user_keys WHERE project = ?1 AND identifier = ?2",
            )?
            .query_one(params![project.0, encode::identifier(identifier)], |row| {
                row.get(0)
            })?;
        Ok(count.unsigned_abs())
    }

    /// The users' identifiers of one kind, each once, in their order: those after
    /// `after`, at most `limit`.
    pub fn user_keys_after(
        &self,
        project: ProjectId,
        (identifier, kind): (UserIdentifier, KeyKind),
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        let mut statement = self.statement(
            "SELECT DISTINCT key FROM user_keys
             WHERE project = ?1 AND identifier = ?2 AND kind = ?3 AND key > ?4
             ORDER BY key LIMIT ?5",
        )?;
        let rows = statement.query_map(
            params![
                project.0,
                encode::identifier(identifier),
                encode::key_kind(kind),
                after,
                i64::try_from(limit).unwrap_or(i64::MAX)
            ],
            |row| row.get(0),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The moment from which on a connection's mappings may miss changes: when
    /// its oldest field was saved.
    pub fn first_mapped_at(&self, connection: ConnectionId) -> Result<Option<Timestamp>, Error> {
        Ok(self
            .statement(
                "SELECT min(f.saved_at) FROM fields f JOIN object_mappings m ON m.id = f.mapping
                 WHERE m.connection = ?1",
            )?
            .query_row([connection.0], |row| row.get::<_, Option<i64>>(0))
            .optional()?
            .flatten()
            .map(Timestamp))
    }
}

fn read_run_records(mut rows: rusqlite::Rows<'_>) -> Result<Vec<RunRecord>, Error> {
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(RunRecord {
            key: RecordKey(row.get(0)?),
            record: encode::read_record_id(row.get_ref(1)?)?,
            is_done: row.get(2)?,
        });
    }
    Ok(records)
}
