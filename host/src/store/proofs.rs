//! What came of comparing users' values with what the source says.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{Error, Tx, encode, records::RecordKey, timestamp};
use crate::model::{
    ConnectionId, ObjectType, RecordId, Timestamp, UserId, Value, VariableId, VariableType,
};

/// Proofs kept for each connection.
const PROOFS_KEPT: i64 = 30;

/// Differences that are kept of one proof.
pub const DIFFERING_MAX: usize = 100;

/// A value that does not equal the source's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Differing {
    /// Whose.
    pub user: UserId,
    /// The variable's name.
    pub variable: String,
    /// The record's type.
    #[schema(value_type = String)]
    pub object_type: ObjectType,
    /// The record.
    #[schema(value_type = String)]
    pub record_id: RecordId,
    /// Why: a reason for which a text could not be read, `not_filled` where the
    /// field was mapped since and awaits a full sync, `held` where the brake holds
    /// it, or `differs`.
    pub reason: String,
}

/// What came of one comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// When.
    pub at: Timestamp,
    /// Values that were compared.
    pub compared: u64,
    /// Values that equal the source's.
    pub equal: u64,
    /// Those that do not, the first hundred.
    pub differing: Vec<Differing>,
}

impl Tx<'_> {
    /// A connection's last proof.
    pub fn last_proof(&self, connection: ConnectionId) -> Result<Option<Proof>, Error> {
        let mut statement = self.statement(
            "SELECT at, compared, equal, differing FROM proofs
             WHERE connection = ?1 ORDER BY at DESC LIMIT 1",
        )?;
        let mut rows = statement.query([connection.0])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(Proof {
            at: timestamp(row, 0)?,
            compared: row.get::<_, i64>(1)?.unsigned_abs(),
            equal: row.get::<_, i64>(2)?.unsigned_abs(),
            differing: encode::read_json(&row.get::<_, String>(3)?)?,
        }))
    }

    /// How many values all connections' last proofs compared, and how many of
    /// them are equal.
    pub fn proven(&self) -> Result<(u64, u64), Error> {
        let sum: (i64, i64) = self
            .statement(
                "SELECT coalesce(sum(compared), 0), coalesce(sum(equal), 0) FROM proofs p
                 WHERE at = (SELECT max(at) FROM proofs WHERE connection = p.connection)",
            )?
            .query_one([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((sum.0.unsigned_abs(), sum.1.unsigned_abs()))
    }

    /// Adds to the proof of that moment.
    pub fn add_to_proof(&self, connection: ConnectionId, more: &Proof) -> Result<(), Error> {
        let mut proof = self
            .last_proof(connection)?
            .filter(|proof| proof.at == more.at)
            .unwrap_or_default();
        proof.compared += more.compared;
        proof.equal += more.equal;
        proof.differing.extend_from_slice(&more.differing);
        proof.differing.truncate(DIFFERING_MAX);
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.statement(
            "INSERT OR REPLACE INTO proofs (connection, at, compared, equal, differing)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            connection.0,
            more.at.0,
            number(proof.compared),
            number(proof.equal),
            encode::json(&proof.differing)?
        ])?;
        self.statement(
            "DELETE FROM proofs WHERE connection = ?1 AND at <= (
                SELECT at FROM proofs WHERE connection = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![connection.0, PROOFS_KEPT])?;
        Ok(())
    }

    /// Forgets a record in all proofs; what they counted stays.
    pub fn forget_in_proofs(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<(), Error> {
        let mut statement =
            self.statement("SELECT at, differing FROM proofs WHERE connection = ?1")?;
        let proofs = statement
            .query_map([connection.0], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(i64, String)>, _>>()?;
        for (at, stored) in proofs {
            let mut differing: Vec<Differing> = encode::read_json(&stored)?;
            let before = differing.len();
            differing.retain(|one| one.object_type != *object_type || one.record_id != *record);
            if differing.len() < before {
                self.statement(
                    "UPDATE proofs SET differing = ?3 WHERE connection = ?1 AND at = ?2",
                )?
                .execute(params![connection.0, at, encode::json(&differing)?])?;
            }
        }
        Ok(())
    }

    /// Records of a type that reach users, drawn at random.
    pub fn sample_of_reached(
        &self,
        connection: ConnectionId,
        object_type: &ObjectType,
        limit: usize,
    ) -> Result<Vec<RecordId>, Error> {
        let mut statement = self.statement(
            "SELECT record FROM records
             WHERE connection = ?1 AND object_type = ?2 AND reached AND existence < 2
             ORDER BY random() LIMIT ?3",
        )?;
        let mut rows = statement.query(params![
            connection.0,
            self.object_type_id(object_type)?,
            i64::try_from(limit).unwrap_or(i64::MAX)
        ])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(encode::read_record_id(row.get_ref(0)?)?);
        }
        Ok(records)
    }

    /// What a user shows for a variable, and the record it comes from; none where
    /// nothing is shown.
    pub fn shown_value(
        &self,
        user: UserId,
        (variable, target): (VariableId, VariableType),
    ) -> Result<Option<(Value, Option<RecordKey>)>, Error> {
        let mut statement = self.statement(
            "SELECT value, record FROM shown_values WHERE user = ?1 AND variable = ?2",
        )?;
        let shown = statement
            .query_row(params![user.0, variable.0], |row| {
                Ok((row.get::<_, rusqlite::types::Value>(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((value, record)) = shown else {
            return Ok(None);
        };
        let value = encode::read_value((&value).into(), target)?;
        Ok(Some((value, Option::<i64>::map(record, RecordKey))))
    }
}
