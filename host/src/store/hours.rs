//! How a connection fares, hour by hour: what came and what it did, and how long
//! changes took.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Error, Tx};
use crate::model::{ConnectionId, Timestamp};

/// Hours that are kept: two weeks.
pub const HOURS_KEPT: i64 = 14 * 24;

/// Hours whose changes are told together where nothing else is asked: a day.
const DAY_HOURS: i64 = 24;

const HOUR_MILLISECONDS: i64 = 3_600_000;

/// Buckets of freshness: the last holds all that took longer than 2^30 ms.
const FRESHNESS_BUCKETS: u32 = 31;

/// What came of a connection within some time, and what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Changes that webhooks told.
    pub webhooks: i64,
    /// Changes that the journal told.
    pub journal: i64,
    /// Records that were read.
    pub reads: i64,
    /// Records that changed what users show.
    pub updated: i64,
    /// Records of users that said nothing new.
    pub unchanged: i64,
    /// Records that match no user.
    pub no_match: i64,
    /// Records that reach users through others alone, while none of these was known to
    /// have them.
    pub waiting: i64,
    /// Records that did nothing, for another reason.
    pub skipped: i64,
    /// Records of which a value could not be read, whatever else they did.
    pub unreadable: i64,
    /// Values that users show since.
    pub values_written: i64,
}

/// One hour of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hour {
    /// When it began.
    pub at: Timestamp,
    /// What came, and what it did.
    pub tally: Tally,
    /// Changes whose way from the source to users was timed.
    pub timed: i64,
    /// Half of these took no longer, in seconds.
    pub p50_seconds: Option<f64>,
    /// 95 of 100 of these took no longer, in seconds.
    pub p95_seconds: Option<f64>,
}

impl Tx<'_> {
    /// Adds to the present hour of a connection.
    pub fn add_to_hour(
        &self,
        connection: ConnectionId,
        now: Timestamp,
        more: &Tally,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT INTO hours (connection, hour, webhooks, journal, reads, updated, unchanged,
                    no_match, skipped, unreadable, values_written, waiting)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                 ON CONFLICT (connection, hour) DO UPDATE SET
                    webhooks = webhooks + excluded.webhooks,
                    journal = journal + excluded.journal,
                    reads = reads + excluded.reads,
                    updated = updated + excluded.updated,
                    unchanged = unchanged + excluded.unchanged,
                    no_match = no_match + excluded.no_match,
                    skipped = skipped + excluded.skipped,
                    unreadable = unreadable + excluded.unreadable,
                    values_written = values_written + excluded.values_written,
                    waiting = waiting + excluded.waiting",
        )?
        .execute(params![
            connection.0,
            hour(now),
            more.webhooks,
            more.journal,
            more.reads,
            more.updated,
            more.unchanged,
            more.no_match,
            more.skipped,
            more.unreadable,
            more.values_written,
            more.waiting
        ])?;
        Ok(())
    }

    /// The last `count` hours of a connection, the present one last. One in which
    /// nothing happened is there as well.
    pub fn hours(
        &self,
        connection: ConnectionId,
        now: Timestamp,
        count: usize,
    ) -> Result<Vec<Hour>, Error> {
        let count = i64::try_from(count)
            .unwrap_or(HOURS_KEPT)
            .clamp(1, HOURS_KEPT);
        let first = hour(now) - count + 1;
        let mut hours: Vec<Hour> = (first..=hour(now))
            .map(|hour| Hour {
                at: Timestamp(hour * HOUR_MILLISECONDS),
                ..Hour::default()
            })
            .collect();
        let index = |hour: i64| usize::try_from(hour - first).unwrap_or(usize::MAX);
        let mut statement = self.statement(
            "SELECT hour, webhooks, journal, reads, updated, unchanged, no_match, skipped,
                    unreadable, values_written, waiting
             FROM hours WHERE connection = ?1 AND hour >= ?2",
        )?;
        let mut rows = statement.query(params![connection.0, first])?;
        while let Some(row) = rows.next()? {
            if let Some(held) = hours.get_mut(index(row.get(0)?)) {
                held.tally = read_tally(row, 1)?;
            }
        }
        let mut buckets: BTreeMap<i64, Vec<(u32, i64)>> = BTreeMap::new();
        let mut statement = self.statement(
            "SELECT hour, bucket, count FROM freshness WHERE connection = ?1 AND hour >= ?2
             ORDER BY hour, bucket",
        )?;
        let mut rows = statement.query(params![connection.0, first])?;
        while let Some(row) = rows.next()? {
            let of_hour = buckets.entry(row.get(0)?).or_default();
            of_hour.push((row.get(1)?, row.get(2)?));
        }
        for (of, buckets) in buckets {
            if let Some(held) = hours.get_mut(index(of)) {
                held.timed = buckets.iter().map(|(_, count)| count).sum();
                held.p50_seconds = share_at(&buckets, 0.5);
                held.p95_seconds = share_at(&buckets, 0.95);
            }
        }
        Ok(hours)
    }

    /// What came of a connection in the `count` hours that ended `back` hours
    /// before the present one, and what it did.
    pub fn tally(
        &self,
        connection: ConnectionId,
        now: Timestamp,
        (back, count): (i64, i64),
    ) -> Result<Tally, Error> {
        let last = hour(now) - back;
        Ok(self
            .statement(
                "SELECT coalesce(sum(webhooks), 0), coalesce(sum(journal), 0),
                        coalesce(sum(reads), 0), coalesce(sum(updated), 0),
                        coalesce(sum(unchanged), 0), coalesce(sum(no_match), 0),
                        coalesce(sum(skipped), 0), coalesce(sum(unreadable), 0),
                        coalesce(sum(values_written), 0), coalesce(sum(waiting), 0)
                 FROM hours WHERE connection = ?1 AND hour > ?2 AND hour <= ?3",
            )?
            .query_one(params![connection.0, last - count, last], |row| {
                read_tally(row, 0)
            })?)
    }

    /// Drops the hours of a connection that are over for long.
    pub fn trim_hours(&self, connection: ConnectionId, now: Timestamp) -> Result<(), Error> {
        for sql in [
            "DELETE FROM hours WHERE connection = ?1 AND hour <= ?2",
            "DELETE FROM freshness WHERE connection = ?1 AND hour <= ?2",
        ] {
            self.statement(sql)?
                .execute(params![connection.0, hour(now) - HOURS_KEPT])?;
        }
        Ok(())
    }

    /// Says how long changes took, from the source's stamp to our write, in
    /// milliseconds, by bucket (see [`freshness_bucket`]).
    pub fn add_freshness(
        &self,
        connection: ConnectionId,
        now: Timestamp,
        buckets: &BTreeMap<u32, i64>,
    ) -> Result<(), Error> {
        let mut statement = self.statement(
            "INSERT INTO freshness (connection, hour, bucket, count) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (connection, hour, bucket) DO UPDATE SET count = count + excluded.count",
        )?;
        for (bucket, count) in buckets {
            statement.execute(params![connection.0, hour(now), bucket, count])?;
        }
        Ok(())
    }

    /// The share of a day's changes that took no longer, in seconds, for each
    /// of `shares`; none where nothing changed.
    pub fn freshness(
        &self,
        connection: ConnectionId,
        now: Timestamp,
        shares: &[f64],
    ) -> Result<Vec<Option<f64>>, Error> {
        let mut statement = self.statement(
            "SELECT bucket, sum(count) FROM freshness WHERE connection = ?1 AND hour > ?2
             GROUP BY bucket ORDER BY bucket",
        )?;
        let buckets = statement
            .query_map(params![connection.0, hour(now) - DAY_HOURS], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<Vec<(u32, i64)>, _>>()?;
        Ok(shares
            .iter()
            .map(|share| share_at(&buckets, *share))
            .collect())
    }
}

fn read_tally(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Tally> {
    Ok(Tally {
        webhooks: row.get(first)?,
        journal: row.get(first + 1)?,
        reads: row.get(first + 2)?,
        updated: row.get(first + 3)?,
        unchanged: row.get(first + 4)?,
        no_match: row.get(first + 5)?,
        skipped: row.get(first + 6)?,
        unreadable: row.get(first + 7)?,
        values_written: row.get(first + 8)?,
        waiting: row.get(first + 9)?,
    })
}

/// The bucket of a time in milliseconds: the number of bits it needs.
pub fn freshness_bucket(milliseconds: u64) -> u32 {
    (u64::BITS - milliseconds.leading_zeros()).min(FRESHNESS_BUCKETS - 1)
}

/// The time in seconds that a share (0 to 1) of what the buckets count took at
/// most; none where they count nothing.
fn share_at(buckets: &[(u32, i64)], share: f64) -> Option<f64> {
    let all: i64 = buckets.iter().map(|(_, count)| count).sum();
    let rank = all as f64 * share;
    let mut seen = 0.0;
    for (bucket, count) in buckets {
        let inside = *count as f64;
        if seen + inside >= rank {
            // Straight between the bucket's ends.
            let low = if *bucket == 0 {
                0.0
            } else {
                f64::from(*bucket - 1).exp2()
            };
            let high = f64::from(*bucket).exp2();
            return Some((low + (high - low) * ((rank - seen) / inside)) / 1_000.0);
        }
        seen += inside;
    }
    None
}

fn hour(moment: Timestamp) -> i64 {
    moment.0.div_euclid(HOUR_MILLISECONDS)
}
