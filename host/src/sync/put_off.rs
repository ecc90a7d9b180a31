//! What becomes of a read by its answer: it ends, or is made again later.
//!
//! A read ends only when it was answered well enough, when its record is
//! believed to be missing, or when its last answer settles it. Whatever else
//! happens puts it off, at first for moments, then for an hour, and is told.

use std::{collections::HashMap, time::Duration};

use super::work::Runs;
use crate::{
    model::{ConnectionId, Timestamp},
    pipeline::{
        report::{Origin, RecordReport, Report},
        routing::AccountRoute,
    },
    store::{
        self, Tx,
        reads::DueRead,
        runs::{Counts, Example, Examples, failed},
    },
};

/// How long an answer that knew too little is waited with: HubSpot shows a
/// change everywhere within seconds.
const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// When a read is tried again, after the first few times.
pub(super) const LATER: Duration = Duration::from_secs(3_600);

/// What an answer says of one record that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The record, last modified then, where the answer says when.
    Record(Option<Timestamp>),
    /// An error names it as missing.
    Missing,
    /// All of the batch is missing. To be believed when it repeats.
    AllMissing,
    /// Nothing of use.
    Nothing(Reason),
}

/// What becomes of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It ends.
    Ends,
    /// It ends, and the record is not there.
    Absent,
    /// It is made again.
    Again(Reason),
}

/// Why a read is made again. The words are counted and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The answer is older than the event that caused the read.
    Older,
    /// The record is missing, which may be because it is new.
    Missing,
    /// As all others of the batch are.
    AllMissing,
    /// HubSpot refuses it.
    Refused,
    /// The answer does not speak of it.
    Unanswered,
    /// What the answer says of it cannot be understood.
    NotUnderstood,
}

impl Reason {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Older => "read_older",
            Self::Missing | Self::AllMissing => "read_missing",
            Self::Refused => "read_refused",
            Self::Unanswered => "read_unanswered",
            Self::NotUnderstood => "read_not_understood",
        }
    }
}

/// When to ask again what was put off this often; none where it was often
/// enough.
pub(super) fn again_at(attempts: u32, now: Timestamp) -> Option<Timestamp> {
    let wait = AGAIN_AFTER.get(attempts as usize)?;
    Some(now.plus(*wait))
}

/// Whether this answer is the last that is waited for.
pub(super) fn is_last(read: &DueRead) -> bool {
    read.attempts as usize >= AGAIN_AFTER.len()
}

/// What becomes of a read of a record.
pub(super) fn verdict(read: &DueRead, said: Said) -> Verdict {
    let last = is_last(read);
    match said {
        Said::Record(modified_at) if modified_at.is_none_or(|at| at >= read.expected_at) => {
            Verdict::Ends
        }
        // It settles what is known from here on.
        Said::Record(_) if last => Verdict::Ends,
        Said::Record(_) => Verdict::Again(Reason::Older),
        Said::Missing if last => Verdict::Absent,
        Said::Missing => Verdict::Again(Reason::Missing),
        Said::AllMissing if last && read.all_missing => Verdict::Absent,
        Said::AllMissing => Verdict::Again(Reason::AllMissing),
        Said::Nothing(reason) => Verdict::Again(reason),
    }
}

/// Why a read is put off, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Why {
    /// The reason.
    pub reason: Reason,
    /// For whom.
    pub whom: Whom,
}

/// For whom a read is put off.
#[derive(Clone, Debug)]
pub(super) enum Whom {
    /// For all who want it; with the version that did not understand the answer, by
    /// digest, where one did not.
    All(Option<String>),
    /// For these, whose versions did not understand it: the others have what they
    /// wanted.
    These(HashMap<ConnectionId, String>),
}

impl From<Reason> for Why {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            whom: Whom::All(None),
        }
    }
}

/// Puts a read off for those whose versions did not understand an answer that all
/// others took: for these, and for a run of theirs, it is done.
pub(super) fn put_off_for(
    tx: &Tx<'_>,
    route: &AccountRoute,
    read: &DueRead,
    (these, runs): (HashMap<ConnectionId, String>, &Runs),
    now: Timestamp,
) -> Result<(), store::Error> {
    let mut read = read.clone();
    let awaits = |connection: &ConnectionId| runs.cause(read.cause, *connection).run.is_some();
    if let Some(run) = read.cause.run
        && !these.keys().any(awaits)
    {
        tx.let_go_of_read(&read)?;
        tx.advance_run(run, 1)?;
        read.cause.run = None;
    }
    // What it had to know of it knows; and nobody else is late for it.
    tx.expect_no_more(&read)?;
    let why = Why {
        reason: Reason::NotUnderstood,
        whom: Whom::These(these),
    };
    put_off(tx, route, &read, &why, now)
}

/// Puts a read off. Once it waits for long, the connections that want it are
/// told why.
pub(super) fn put_off(
    tx: &Tx<'_>,
    route: &AccountRoute,
    read: &DueRead,
    why: &Why,
    now: Timestamp,
) -> Result<(), store::Error> {
    let reason = why.reason;
    let moment = again_at(read.attempts, now).unwrap_or(now.plus(LATER));
    tx.put_off_read(read, moment, reason == Reason::AllMissing)?;
    if read.attempts as usize != AGAIN_AFTER.len() {
        return Ok(());
    }
    if let Some(run) = read.cause.run {
        // The run is not held up by it.
        tx.let_go_of_read(read)?;
        tx.advance_run(run, 1)?;
        let failed = failed(&read.key.wanted);
        tx.add_run_counts(run, &Counts::from([(failed.clone(), 1)]))?;
        let (object_type, record) = (read.key.object_type.clone(), read.key.record.clone());
        let example = Example::Record(object_type, record);
        tx.add_run_examples(run, &Examples::from([(failed, vec![example])]))?;
    }
    let key = &read.key;
    for connection in &route.connections {
        let plugin = match &why.whom {
            Whom::All(plugin) => plugin.clone(),
            Whom::These(these) => match these.get(&connection.id) {
                Some(plugin) => Some(plugin.clone()),
                None => continue,
            },
        };
        if connection.reads(&key.object_type, &key.wanted) {
            let mut told = RecordReport::default();
            told.put_off(reason.as_str());
            let mut report = Report::default();
            let origin = Origin {
                word: read.cause.priority.origin(),
                plugin,
            };
            report.record(&origin, &key.object_type, &key.record, told, now);
            report.save(tx, connection.id, now)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{AccountId, Cause},
        store::reads::{ReadKey, Wanted},
    };

    fn read(attempts: usize, all_missing: bool) -> DueRead {
        DueRead {
            key: ReadKey {
                account: AccountId(1),
                object_type: "contacts".into(),
                wanted: Wanted::Record,
                record: "7".into(),
            },
            cause: Cause::LIVE,
            requested: 1,
            expected_at: Timestamp(10),
            attempts: u32::try_from(attempts).expect("few"),
            all_missing,
        }
    }

    const LAST: usize = AGAIN_AFTER.len();

    #[test]
    fn a_good_answer_ends_a_read_and_an_older_one_only_the_last_time() {
        for modified_at in [None, Some(Timestamp(10)), Some(Timestamp(11))] {
            assert_eq!(
                verdict(&read(0, false), Said::Record(modified_at)),
                Verdict::Ends
            );
        }
        let older = Said::Record(Some(Timestamp(9)));
        assert_eq!(
            verdict(&read(LAST - 1, false), older),
            Verdict::Again(Reason::Older)
        );
        assert_eq!(verdict(&read(LAST, false), older), Verdict::Ends);
    }

    #[test]
    fn a_record_is_absent_by_its_name_or_by_a_whole_batch_that_repeats() {
        let missing = |attempts, before, said| verdict(&read(attempts, before), said);
        // It may be new.
        assert_eq!(
            missing(0, false, Said::Missing),
            Verdict::Again(Reason::Missing)
        );
        assert_eq!(missing(LAST, false, Said::Missing), Verdict::Absent);
        let again = Verdict::Again(Reason::AllMissing);
        assert_eq!(missing(0, false, Said::AllMissing), again);
        assert_eq!(missing(1, true, Said::AllMissing), again);
        // Refused again and again says nothing of whether it is there.
        assert_eq!(missing(LAST, false, Said::AllMissing), again);
        assert_eq!(missing(LAST, true, Said::AllMissing), Verdict::Absent);
    }

    #[test]
    fn what_says_nothing_never_ends_a_read() {
        for reason in [Reason::Refused, Reason::Unanswered, Reason::NotUnderstood] {
            for attempts in [0, LAST, LAST + 100] {
                let verdict = verdict(&read(attempts, true), Said::Nothing(reason));
                assert_eq!(verdict, Verdict::Again(reason));
            }
        }
    }
}
