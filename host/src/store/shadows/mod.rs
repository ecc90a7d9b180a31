//! Shadows: plugin versions that read the log beside the active one, how far each
//! is, and where the two differ.
//!
//! What an example shows of a user's property goes where that goes: with the record
//! that is erased or reaches nobody any more, the user, the field, the connection.

mod found;

use rusqlite::{OptionalExtension, Row, params};

use super::{Error, Tx, encode, optional_timestamp, timestamp};
use crate::{
    log::Position,
    model::{ConnectionId, Timestamp},
};

pub use found::{Difference, EXAMPLES_MAX, Example, Found, Kind};

/// What a shadow does, in this order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Connection by connection, it compares what the versions say of the mappings,
    /// and what they make of texts that registers keep.
    Mappings,
    /// It reads the log, and follows its end.
    Log,
}

/// How much a shadow compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Object mappings.
    pub mappings: u64,
    /// Texts that registers keep.
    pub texts: u64,
    /// Entries of the log.
    pub entries: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// The events in them.
    pub events: u64,
    /// What either version made of them: changes, erasures, and what would be set
    /// aside.
    pub compared: u64,
    /// The candidate's passes.
    pub passes: u64,
    /// How many of these came to nothing.
    pub faults: u64,
    /// How many of the active version's did.
    pub active_faults: u64,
    /// How long it worked for that.
    pub worked_microseconds: u64,
}

/// A version that reads the log beside the active one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Its number; they grow.
    pub id: i64,
    /// The connector.
    pub connector: String,
    /// The version, by digest.
    pub digest: String,
    /// The version that it is compared with, by digest; none until the host has begun.
    pub against: Option<String>,
    /// Who started it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// It reads what was received since; none: all that the log keeps.
    pub since: Option<Timestamp>,
    /// What it is at.
    pub step: Step,
    /// The last connection whose mappings are compared.
    pub connection: ConnectionId,
    /// The place in the log up to which it has read.
    pub position: Position,
    /// How many entries were behind that when it last looked.
    pub waiting: u64,
    /// When it was last at the log's end.
    pub caught_up_at: Option<Timestamp>,
    /// Why it does not go on.
    pub problem: Option<String>,
    /// How much it compared.
    pub work: Work,
}

/// Where a shadow goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it is at.
    pub step: Step,
    /// The last connection whose mappings are compared.
    pub connection: ConnectionId,
    /// The place in the log up to which it has read.
    pub position: Position,
    /// How many entries are behind that.
    pub waiting: u64,
    /// When it was last at the log's end.
    pub caught_up_at: Option<Timestamp>,
}

impl Shadow {
    /// Where it goes on from.
    pub fn place(&self) -> Place {
        Place {
            step: self.step,
            connection: self.connection,
            position: self.position,
            waiting: self.waiting,
            caught_up_at: self.caught_up_at,
        }
    }
}

/// What [`read_shadow`] reads.
const SHADOW: &str = "SELECT id, connector, digest, against, by, at, since, step, connection,
        position, waiting, caught_up_at, problem, mappings, texts, entries, bytes, events,
        compared, passes, faults, active_faults, worked_microseconds
     FROM shadows WHERE connector = ?1";

impl Tx<'_> {
    /// Starts a shadow, in place of the connector's former one.
    pub fn start_shadow(
        &self,
        connector: &str,
        digest: &str,
        since: Option<Timestamp>,
        by: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.end_shadow(connector)?;
        self.statement(
            "INSERT INTO shadows (connector, digest, since, by, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            connector,
            digest,
            since.map(|since| since.0),
            by,
            now.0
        ])?;
        Ok(())
    }

    /// The connector's shadow.
    pub fn shadow(&self, connector: &str) -> Result<Option<Shadow>, Error> {
        let mut statement = self.statement(SHADOW)?;
        let mut rows = statement.query([connector])?;
        rows.next()?.map(read_shadow).transpose()
    }

    /// Ends the connector's shadow, and forgets what it found. Returns whether there
    /// was one.
    pub fn end_shadow(&self, connector: &str) -> Result<bool, Error> {
        let ended = self
            .statement("DELETE FROM shadows WHERE connector = ?1")?
            .execute([connector])?;
        Ok(ended > 0)
    }

    /// Begins a shadow anew: what it compares with is another version now. It reads
    /// the log from behind a position.
    /// Returns false where it is gone.
    pub fn begin_shadow(&self, id: i64, against: &str, position: Position) -> Result<bool, Error> {
        for sql in [
            "DELETE FROM shadow_differences WHERE shadow = ?1",
            "DELETE FROM shadow_examples WHERE shadow = ?1",
        ] {
            self.execute_by_id(sql, id)?;
        }
        let begun = self
            .statement(
                "UPDATE shadows SET against = ?2, position = ?3, step = 'mappings', connection = 0,
                 waiting = 0, caught_up_at = NULL, problem = NULL, mappings = 0, texts = 0,
                 entries = 0, bytes = 0, events = 0, compared = 0, passes = 0, faults = 0,
                 active_faults = 0, worked_microseconds = 0
             WHERE id = ?1",
            )?
            .execute(params![id, against, position.0])?;
        Ok(begun > 0)
    }

    /// Says why a shadow does not go on; moving on unsays it.
    pub fn set_shadow_problem(&self, id: i64, problem: &str) -> Result<(), Error> {
        self.statement("UPDATE shadows SET problem = ?2 WHERE id = ?1 AND problem IS NOT ?2")?
            .execute(params![id, problem])?;
        Ok(())
    }

    /// Moves a shadow on, and counts what it compared meanwhile. Returns false, and
    /// does nothing, where it is gone.
    pub fn move_shadow(&self, id: i64, place: &Place, work: &Work) -> Result<bool, Error> {
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let moved = self
            .statement(
                "UPDATE shadows SET step = ?2, connection = ?3, position = ?4, waiting = ?5,
                     caught_up_at = ?6, problem = NULL, mappings = mappings + ?7,
                     texts = texts + ?8, entries = entries + ?9, bytes = bytes + ?10,
                     events = events + ?11, compared = compared + ?12, passes = passes + ?13,
                     faults = faults + ?14, active_faults = active_faults + ?15,
                     worked_microseconds = worked_microseconds + ?16
                 WHERE id = ?1",
            )?
            .execute(params![
                id,
                encode::word(&place.step),
                place.connection.0,
                place.position.0,
                count(place.waiting),
                place.caught_up_at.map(|at| at.0),
                count(work.mappings),
                count(work.texts),
                count(work.entries),
                count(work.bytes),
                count(work.events),
                count(work.compared),
                count(work.passes),
                count(work.faults),
                count(work.active_faults),
                count(work.worked_microseconds),
            ])?;
        Ok(moved > 0)
    }

    /// Ends a shadow that was started before a moment.
    pub fn end_old_shadows(&self, before: Timestamp) -> Result<(), Error> {
        self.statement("DELETE FROM shadows WHERE at < ?1")?
            .execute([before.0])?;
        Ok(())
    }

    /// The first connection to an account after one, in the order of their numbers.
    pub fn next_connection(
        &self,
        connector: &str,
        after: ConnectionId,
    ) -> Result<Option<ConnectionId>, Error> {
        Ok(self
            .statement(
                "SELECT id FROM connections
                 WHERE id > ?1 AND connector = ?2 AND account IS NOT NULL ORDER BY id LIMIT 1",
            )?
            .query_row(params![after.0, connector], |row| {
                row.get(0).map(ConnectionId)
            })
            .optional()?)
    }

    /// How many fields there are.
    pub fn field_count(&self) -> Result<u64, Error> {
        let count: i64 = self
            .statement("SELECT count(*) FROM fields")?
            .query_one([], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

fn read_shadow(row: &Row<'_>) -> Result<Shadow, Error> {
    let count = |column: usize| -> Result<u64, Error> {
        Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
    };
    Ok(Shadow {
        id: row.get(0)?,
        connector: row.get(1)?,
        digest: row.get(2)?,
        against: row.get(3)?,
        by: row.get(4)?,
        at: timestamp(row, 5)?,
        since: optional_timestamp(row, 6)?,
        step: encode::read_word(row.get_ref(7)?.as_str().unwrap_or_default())?,
        connection: ConnectionId(row.get(8)?),
        position: Position(row.get(9)?),
        waiting: count(10)?,
        caught_up_at: optional_timestamp(row, 11)?,
        problem: row.get(12)?,
        work: Work {
            mappings: count(13)?,
            texts: count(14)?,
            entries: count(15)?,
            bytes: count(16)?,
            events: count(17)?,
            compared: count(18)?,
            passes: count(19)?,
            faults: count(20)?,
            active_faults: count(21)?,
            worked_microseconds: count(22)?,
        },
    })
}
