//! When catch-ups were last asked for, how they went, and what they found that live
//! had missed.

use super::{
    super::{Error, Tx, encode, timestamp},
    COLUMNS,
};
use crate::model::{ConnectionId, Missed, Problem, Run, RunStatus, Timestamp};

/// The last catch-up that was asked for.
#[derive(Clone, Debug)]
pub struct LastCatchUp {
    /// When it was.
    pub requested_at: Timestamp,
    /// Where it stands.
    pub status: RunStatus,
    /// What of it could not be done.
    pub problem: Option<Problem>,
    /// How many failed since the last one that did not.
    pub failures: u32,
}

impl Tx<'_> {
    /// The last catch-up that went through to its end, whether all of it could be done
    /// or not; none where none did. Brief ones do not count.
    pub fn last_whole_catch_up(&self, connection: ConnectionId) -> Result<Option<Run>, Error> {
        let sql = format!(
            "{COLUMNS} WHERE connection = ?1 AND kind = 'catch_up' AND NOT brief AND NOT dry_run
             AND status IN ('completed', 'failed') ORDER BY id DESC LIMIT 1"
        );
        Ok(self.read_runs(&sql, [connection.0])?.pop())
    }

    /// When a catch-up was last asked for, a brief one too.
    pub fn last_look(&self, connection: ConnectionId) -> Result<Option<Timestamp>, Error> {
        let at: Option<i64> = self
            .statement(
                "SELECT max(requested_at) FROM runs WHERE connection = ?1 AND kind = 'catch_up'",
            )?
            .query_one([connection.0], |row| row.get(0))?;
        Ok(at.map(Timestamp))
    }

    /// The catch-up that was last asked for; none where none was. Brief ones do not
    /// count.
    pub fn last_catch_up(&self, connection: ConnectionId) -> Result<Option<LastCatchUp>, Error> {
        let mut statement = self.statement(
            "SELECT requested_at, status, problem,
                    (SELECT count(*) FROM runs f WHERE f.connection = r.connection
                     AND f.kind = 'catch_up' AND NOT f.brief AND f.status = 'failed'
                     AND f.id > coalesce((SELECT max(id) FROM runs o
                        WHERE o.connection = r.connection AND o.kind = 'catch_up'
                        AND NOT o.brief AND o.status = 'completed'), 0))
             FROM runs r WHERE connection = ?1 AND kind = 'catch_up' AND NOT brief
             ORDER BY id DESC LIMIT 1",
        )?;
        let mut rows = statement.query([connection.0])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let problem: Option<String> = row.get(2)?;
        Ok(Some(LastCatchUp {
            requested_at: timestamp(row, 0)?,
            status: encode::read_word(&row.get::<_, String>(1)?)?,
            problem: problem.map(|text| encode::read_json(&text)).transpose()?,
            failures: row.get(3)?,
        }))
    }

    /// What all connections' last catch-ups that looked at everything found that
    /// live had missed.
    pub fn missed(&self) -> Result<Vec<(Missed, u64)>, Error> {
        let mut statement = self.statement(
            "SELECT coalesce(sum(n.count), 0) FROM connections c
             JOIN run_counts n ON n.name = 'missed.' || ?1 AND n.run = (
                SELECT id FROM runs WHERE connection = c.id AND kind = 'catch_up' AND NOT brief
                AND status IN ('completed', 'failed') ORDER BY id DESC LIMIT 1)",
        )?;
        let mut missed = Vec::new();
        for kind in Missed::ALL {
            let count: i64 = statement.query_one([kind.as_str()], |row| row.get(0))?;
            missed.push((kind, count.unsigned_abs()));
        }
        Ok(missed)
    }
}
