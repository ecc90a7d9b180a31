//! What a transaction did, for counts, activity and freshness.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{ConnectionId, ObjectType, RecordId, Timestamp, UserId},
    store::{
        self, Tx,
        history::{Activity, freshness_bucket},
    },
};

/// Lines of activity that one transaction writes for a connection. A flood is
/// counted in full, and shown by example.
const ACTIVITY_LINES_MAX: usize = 200;

/// The outcome of a record that changed what users show.
const UPDATED: &str = "updated";

/// Where a line comes from that nothing but a mapping caused.
const MAPPING: &str = "mapping";

/// What a transaction did for one connection.
#[derive(Debug, Default)]
pub struct Report {
    counts: BTreeMap<String, i64>,
    freshness: BTreeMap<u32, i64>,
    lines: Vec<Activity>,
}

/// What happened to one record.
#[derive(Debug, Default)]
pub struct RecordReport {
    users: BTreeSet<UserId>,
    variables: BTreeSet<String>,
    reasons: BTreeSet<String>,
    read: bool,
    put_off: bool,
}

impl RecordReport {
    /// A user's variable shows something new.
    pub fn shown(&mut self, user: UserId, variable: &str) {
        self.users.insert(user);
        if !self.variables.contains(variable) {
            self.variables.insert(variable.to_owned());
        }
    }

    /// Something did nothing, or could not be shown.
    pub fn reason(&mut self, reason: &str) {
        if !self.reasons.contains(reason) {
            self.reasons.insert(reason.to_owned());
        }
    }

    /// The record will be read.
    pub fn read(&mut self) {
        self.read = true;
    }

    /// The record could not be read, and will be much later.
    pub fn put_off(&mut self, reason: &str) {
        self.put_off = true;
        self.reason(reason);
    }

    fn outcome(&self) -> &'static str {
        if !self.variables.is_empty() {
            UPDATED
        } else if self.put_off {
            "read_put_off"
        } else if self.read {
            "read_requested"
        } else if self.reasons.is_empty() {
            "unchanged"
        } else {
            "skipped"
        }
    }
}

/// Where a report's lines come from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The word for it: `webhook`, `arrival`, `mapping`, ….
    pub word: &'static str,
    /// The plugin version, by digest, where one was asked.
    pub plugin: Option<String>,
}

impl Report {
    /// Adds to a count.
    pub fn count(&mut self, name: &str, by: i64) {
        match self.counts.get_mut(name) {
            Some(count) => *count += by,
            None => {
                self.counts.insert(name.to_owned(), by);
            }
        }
    }

    /// A change that happened at `changed_at` shows on users now.
    pub fn fresh(&mut self, changed_at: Timestamp, now: Timestamp) {
        let milliseconds = u64::try_from(now.since(changed_at).as_millis()).unwrap_or(u64::MAX);
        *self
            .freshness
            .entry(freshness_bucket(milliseconds))
            .or_default() += 1;
    }

    /// Ends what is told of a record.
    pub fn record(
        &mut self,
        origin: &Origin,
        object_type: &ObjectType,
        record: &RecordId,
        told: RecordReport,
        now: Timestamp,
    ) {
        let outcome = told.outcome();
        self.count(outcome, 1);
        for reason in &told.reasons {
            self.count(&format!("skipped.{reason}"), 1);
        }
        if self.lines.len() >= ACTIVITY_LINES_MAX {
            return;
        }
        let reasons: Vec<_> = told.reasons.into_iter().collect();
        self.lines.push(Activity {
            at: now,
            origin: origin.word.to_owned(),
            object_type: Some(object_type.clone()),
            record: Some(record.clone()),
            outcome: outcome.to_owned(),
            reason: (!reasons.is_empty()).then(|| reasons.join(", ")),
            user: if told.users.len() == 1 {
                told.users.first().copied()
            } else {
                None
            },
            variables: told.variables.into_iter().collect(),
            plugin: origin.plugin.clone(),
        });
    }

    /// A user's values changed because another record feeds them now, or none:
    /// told with what is told of the record already.
    pub fn selected(
        &mut self,
        object_type: &ObjectType,
        record: &RecordId,
        user: UserId,
        variables: Vec<String>,
        now: Timestamp,
    ) {
        let told = self.lines.iter().position(|line| {
            line.object_type.as_ref() == Some(object_type) && line.record.as_ref() == Some(record)
        });
        let Some(index) = told else {
            self.count(UPDATED, 1);
            if self.lines.len() < ACTIVITY_LINES_MAX {
                // What caused it is told of another record.
                let cause = self.lines.last();
                self.lines.push(Activity {
                    at: now,
                    origin: cause.map_or(MAPPING, |line| &line.origin).to_owned(),
                    object_type: Some(object_type.clone()),
                    record: Some(record.clone()),
                    outcome: UPDATED.to_owned(),
                    reason: None,
                    user: Some(user),
                    variables,
                    plugin: cause.and_then(|line| line.plugin.clone()),
                });
            }
            return;
        };
        let line = &mut self.lines[index];
        if line.outcome == UPDATED {
            line.user = line.user.filter(|other| *other == user);
        } else {
            line.user = Some(user);
            let before = std::mem::replace(&mut line.outcome, UPDATED.to_owned());
            self.count(&before, -1);
            self.count(UPDATED, 1);
        }
        let line = &mut self.lines[index];
        line.variables.extend(variables);
        line.variables.sort();
        line.variables.dedup();
    }

    /// Writes the report.
    pub fn save(
        self,
        tx: &Tx<'_>,
        connection: ConnectionId,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        tx.add_counts(connection, &self.counts)?;
        tx.add_freshness(connection, now, &self.freshness)?;
        for line in &self.lines {
            tx.add_activity(connection, line)?;
        }
        Ok(())
    }
}
