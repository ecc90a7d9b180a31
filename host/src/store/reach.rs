//! Whom records reach and feed: associations, candidates, and the record that
//! was selected for each user.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};

use super::{Error, Tx, encode, optional_timestamp, records::RecordKey};
use crate::model::{
    ConnectionId, FieldId, MappingId, ObjectMapping, ObjectType, RecordId, Timestamp, UserId,
    VariableType,
};

/// A record that could feed a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its number.
    pub key: RecordKey,
    /// The source's id.
    pub record: RecordId,
    /// The rank of the match key that linked it, or that linked the record it
    /// was reached through.
    pub rank: i64,
    /// Whether the source marks it as primary.
    pub primary: bool,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it was last modified.
    pub modified_at: Option<Timestamp>,
    /// Its ranking property, where the selection has one.
    pub ranking: Option<f64>,
    /// Whether it is closed, where the selection asks for that; what is not
    /// known to be closed is open.
    pub closed: bool,
}

/// The record that was selected to feed a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Its number.
    pub record: RecordKey,
    /// Until when at most it does only until all that could feed the user are read: it
    /// began to before that. Long ago, where it is there to stay.
    pub provisional_until: Timestamp,
}

/// The existing records that could feed a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    /// Those that are read, of which one does.
    pub read: Vec<Candidate>,
    /// Whether any is still to be read.
    pub unread: bool,
}

/// What a selection depends on beside what is kept of every record.
#[derive(Clone, Debug, Default)]
pub struct SelectionFields {
    /// The field that it ranks by.
    pub ranking: Option<FieldId>,
    /// The fields of which some choices mean that a record is closed.
    pub closing: Vec<ClosingField>,
}

/// A field of which some choices mean that a record is closed.
#[derive(Clone, Debug)]
pub struct ClosingField {
    /// The field.
    pub field: FieldId,
    /// The choices that are known, and whether they mean it.
    pub choices: HashMap<String, bool>,
}

/// An association as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptAssociation {
    /// The other record.
    pub to_record: RecordKey,
    /// Whether the source marks it as primary.
    pub primary: bool,
    /// The labels that people gave it.
    pub labels: Vec<String>,
}

impl Tx<'_> {
    /// Replaces the associations of a record to one type, as a read that began
    /// at `sequence` gave them. Returns the records that were or are associated
    /// and whose association changed; none where a later read was here before.
    pub fn replace_associations(
        &self,
        from: RecordKey,
        to_type: &ObjectType,
        sequence: i64,
        associations: &[KeptAssociation],
    ) -> Result<Option<Vec<RecordKey>>, Error> {
        let to_type = self.object_type_id(to_type)?;
        let newest = self
            .statement(
                "INSERT INTO association_registers (from_record, to_type, sequence)
                 VALUES (?1, ?2, ?3)
                 ON CONFLICT (from_record, to_type) DO UPDATE SET sequence = excluded.sequence
                 WHERE sequence <= excluded.sequence",
            )?
            .execute(params![from.0, to_type, sequence])?;
        if newest == 0 {
            return Ok(None);
        }
        let held = self.kept_associations(from, to_type)?;
        let mut changed = Vec::new();
        for association in held.iter().filter(|kept| !associations.contains(kept)) {
            changed.push(association.to_record);
            self.statement(
                "DELETE FROM associations
                     WHERE from_record = ?1 AND to_type = ?2 AND to_record = ?3",
            )?
            .execute(params![from.0, to_type, association.to_record.0])?;
        }
        for association in associations.iter().filter(|wanted| !held.contains(wanted)) {
            changed.push(association.to_record);
            self.statement(
                "INSERT INTO associations (from_record, to_type, to_record, is_primary, labels)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                from.0,
                to_type,
                association.to_record.0,
                association.primary,
                encode::json(&association.labels)?
            ])?;
        }
        changed.sort();
        changed.dedup();
        Ok(Some(changed))
    }

    fn kept_associations(
        &self,
        from: RecordKey,
        to_type: i64,
    ) -> Result<Vec<KeptAssociation>, Error> {
        let mut statement = self.statement(
            "SELECT to_record, is_primary, labels FROM associations
             WHERE from_record = ?1 AND to_type = ?2 ORDER BY to_record",
        )?;
        let mut rows = statement.query(params![from.0, to_type])?;
        let mut associations = Vec::new();
        while let Some(row) = rows.next()? {
            associations.push(KeptAssociation {
                to_record: RecordKey(row.get(0)?),
                primary: row.get(1)?,
                labels: encode::read_json(&row.get::<_, String>(2)?)?,
            });
        }
        Ok(associations)
    }

    /// The records of one type that a record is associated to.
    pub fn associated_records(
        &self,
        from: RecordKey,
        to_type: &ObjectType,
    ) -> Result<Vec<(RecordKey, RecordId)>, Error> {
        let mut statement = self.statement(
            "SELECT r.id, r.record FROM associations a JOIN records r ON r.id = a.to_record
             WHERE a.from_record = ?1 AND a.to_type = ?2 ORDER BY r.id",
        )?;
        read_records(statement.query(params![from.0, self.object_type_id(to_type)?])?)
    }

    /// The records of one type that are associated to a record.
    pub fn associated_from(
        &self,
        to: RecordKey,
        from_type: &ObjectType,
    ) -> Result<Vec<(RecordKey, RecordId)>, Error> {
        let mut statement = self.statement(
            "SELECT r.id, r.record FROM associations a JOIN records r ON r.id = a.from_record
             WHERE a.to_record = ?1 AND r.object_type = ?2 ORDER BY r.id",
        )?;
        read_records(statement.query(params![to.0, self.object_type_id(from_type)?])?)
    }

    /// Forgets the associations of a record to one type.
    pub fn forget_associations(&self, from: RecordKey, to_type: &ObjectType) -> Result<(), Error> {
        let to_type = self.object_type_id(to_type)?;
        for sql in [
            "DELETE FROM associations WHERE from_record = ?1 AND to_type = ?2",
            "DELETE FROM association_registers WHERE from_record = ?1 AND to_type = ?2",
        ] {
            self.statement(sql)?.execute(params![from.0, to_type])?;
        }
        Ok(())
    }

    /// Forgets which of a connection's records of one type are associated to records of
    /// another.
    pub(super) fn drop_associations(
        &self,
        connection: ConnectionId,
        from_type: &ObjectType,
        to_type: &ObjectType,
    ) -> Result<(), Error> {
        let from_type = self.object_type_id(from_type)?;
        let to_type = self.object_type_id(to_type)?;
        // Only of records that reach users are they kept.
        for sql in [
            "DELETE FROM associations WHERE to_type = ?3 AND from_record IN (
                SELECT id FROM records WHERE connection = ?1 AND object_type = ?2 AND reached)",
            "DELETE FROM association_registers WHERE to_type = ?3 AND from_record IN (
                SELECT id FROM records WHERE connection = ?1 AND object_type = ?2 AND reached)",
        ] {
            self.statement(sql)?
                .execute(params![connection.0, from_type, to_type])?;
        }
        Ok(())
    }

    /// The users that a record can feed: its own links, and those of the
    /// records associated to it.
    pub fn users_reached(&self, record: RecordKey) -> Result<Vec<UserId>, Error> {
        let mut statement = self.statement(
            "SELECT user FROM links WHERE record = ?1
             UNION
             SELECT l.user FROM associations a JOIN links l ON l.record = a.from_record
             WHERE a.to_record = ?1
             ORDER BY 1",
        )?;
        let rows = statement.query_map([record.0], |row| row.get(0).map(UserId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Some of [`Tx::users_reached`]: of at most `max` links, and as many of associated
    /// records; beyond that nothing is looked at.
    pub fn some_users_reached(&self, record: RecordKey, max: usize) -> Result<Vec<UserId>, Error> {
        let mut statement = self.statement(
            "SELECT user FROM (SELECT user FROM links WHERE record = ?1 LIMIT ?2)
             UNION
             SELECT user FROM (
                SELECT l.user FROM associations a JOIN links l ON l.record = a.from_record
                WHERE a.to_record = ?1 LIMIT ?2)
             ORDER BY 1",
        )?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = statement.query_map([record.0, max], |row| row.get(0).map(UserId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The existing records that could feed a user by a mapping.
    pub fn candidates(
        &self,
        connection: ConnectionId,
        mapping: &ObjectMapping,
        fields: &SelectionFields,
        user: UserId,
    ) -> Result<Candidates, Error> {
        let object_type = self.object_type_id(&mapping.object_type)?;
        // In this order: a user has few links, a connection many records, which
        // SQLite does not know.
        let sql = match &mapping.through {
            None => {
                "SELECT r.id, r.record, l.rank, 0, r.created_at, r.modified_at, g.value,
                        r.filled
                 FROM links l
                 CROSS JOIN records r ON r.id = l.record
                 LEFT JOIN registers g ON g.record = r.id AND g.field = ?4
                 WHERE l.user = ?1 AND r.connection = ?2 AND r.object_type = ?3
                   AND r.existence < 2 AND ?5 IS NULL"
            }
            Some(_) => {
                "SELECT r.id, r.record, min(l.rank), max(a.is_primary), r.created_at,
                        r.modified_at, g.value, r.filled
                 FROM links l
                 CROSS JOIN records c ON c.id = l.record
                 CROSS JOIN associations a ON a.from_record = c.id AND a.to_type = ?3
                 CROSS JOIN records r ON r.id = a.to_record
                 LEFT JOIN registers g ON g.record = r.id AND g.field = ?4
                 WHERE l.user = ?1 AND c.connection = ?2 AND c.object_type = ?5
                   AND c.existence < 2 AND r.connection = ?2 AND r.existence < 2
                 GROUP BY r.id"
            }
        };
        let through = mapping
            .through
            .as_ref()
            .map(|through| self.object_type_id(through))
            .transpose()?;
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(params![
            user.0,
            connection.0,
            object_type,
            fields.ranking.map(|field| field.0),
            through
        ])?;
        let mut candidates = Candidates::default();
        while let Some(row) = rows.next()? {
            if !row.get::<_, bool>(7)? {
                candidates.unread = true;
                continue;
            }
            let key = RecordKey(row.get(0)?);
            candidates.read.push(Candidate {
                key,
                record: encode::read_record_id(row.get_ref(1)?)?,
                rank: row.get(2)?,
                primary: row.get(3)?,
                created_at: optional_timestamp(row, 4)?,
                modified_at: optional_timestamp(row, 5)?,
                ranking: row.get_ref(6)?.as_f64().ok(),
                closed: self.is_closed(key, &fields.closing)?,
            });
        }
        Ok(candidates)
    }

    fn is_closed(&self, record: RecordKey, closing: &[ClosingField]) -> Result<bool, Error> {
        for one in closing {
            let register = self.register(record, one.field, VariableType::Text)?;
            let readable = register.and_then(|register| register.readable);
            let closed = readable.and_then(|readable| one.choices.get(&readable.text).copied());
            if closed == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The record that feeds a user by a mapping.
    pub fn feed(&self, mapping: MappingId, user: UserId) -> Result<Option<Feed>, Error> {
        Ok(self
            .statement(
                "SELECT record, provisional_until FROM feeds
                 WHERE mapping = ?1 AND user = ?2",
            )?
            .query_row(params![mapping.0, user.0], |row| {
                Ok(Feed {
                    record: RecordKey(row.get(0)?),
                    provisional_until: Timestamp(row.get(1)?),
                })
            })
            .optional()?)
    }

    /// Changes the record that feeds a user by a mapping.
    pub fn set_feed(
        &self,
        mapping: MappingId,
        user: UserId,
        feed: Option<Feed>,
    ) -> Result<(), Error> {
        match feed {
            Some(feed) => self
                .statement(
                    "INSERT INTO feeds (mapping, user, record, provisional_until)
                     VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (mapping, user) DO UPDATE SET
                        record = excluded.record,
                        provisional_until = excluded.provisional_until",
                )?
                .execute(params![
                    mapping.0,
                    user.0,
                    feed.record.0,
                    feed.provisional_until.0
                ])?,
            None => self
                .statement("DELETE FROM feeds WHERE mapping = ?1 AND user = ?2")?
                .execute(params![mapping.0, user.0])?,
        };
        Ok(())
    }

    /// How many users a mapping feeds.
    pub fn fed_count(&self, mapping: MappingId) -> Result<i64, Error> {
        Ok(self
            .statement("SELECT count(*) FROM feeds WHERE mapping = ?1")?
            .query_one([mapping.0], |row| row.get(0))?)
    }

    /// The users that a record feeds, in order.
    pub fn fed_users(&self, record: RecordKey) -> Result<Vec<UserId>, Error> {
        let mut statement =
            self.statement("SELECT user FROM feeds WHERE record = ?1 ORDER BY user")?;
        let rows = statement.query_map([record.0], |row| row.get(0).map(UserId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Records by their numbers, with their ids.
fn read_records(mut rows: rusqlite::Rows<'_>) -> Result<Vec<(RecordKey, RecordId)>, Error> {
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let record = encode::read_record_id(row.get_ref(1)?)?;
        records.push((RecordKey(row.get(0)?), record));
    }
    Ok(records)
}
