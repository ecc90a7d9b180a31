//! Whether a version was compared well enough to be switched to.

use std::time::Duration;

use super::Report;
use crate::{model::Timestamp, store::shadows::Kind, sync::versions::Error};

/// How old what a shadow says may be.
const FRESH: Duration = Duration::from_secs(24 * 3_600);

/// Whether the version with this digest was compared with the one that runs: its
/// shadow was at the log's end within a day, has compared something, and found
/// nothing on which this version alone fails. What else it found is for whoever
/// switches to judge.
///
/// Of a log that has nothing, all was compared.
pub fn compared(
    digest: &str,
    active: Option<&str>,
    report: Option<&Report>,
    now: Timestamp,
) -> Result<(), Error> {
    let refused = |why: String| Err(Error::NotCompared(why));
    let Some(report) = report.filter(|report| report.shadow.digest == digest) else {
        return refused(
            "nothing has compared it with the active version, so nobody knows which values it would \
             change: shadow it first"
                .into(),
        );
    };
    let (shadow, work) = (&report.shadow, &report.shadow.work);
    let differences = report.difference_count();
    if let Some(problem) = &shadow.problem {
        return refused(format!("it cannot be compared: {problem}"));
    }
    if shadow.against.is_none() || shadow.against.as_deref() != active {
        return refused(
            "it was not compared with the version that is active now; its shadow begins anew \
             with that"
                .into(),
        );
    }
    let Some(at) = shadow.caught_up_at else {
        return refused(format!(
            "its shadow has not reached the log's end: it compared {} entries, {} wait, and it \
             differs from the active version {differences} times so far",
            work.entries, shadow.waiting
        ));
    };
    if now.since(at) > FRESH {
        return refused(format!(
            "its shadow was last at the log's end at {at}, more than a day ago: {} entries wait",
            shadow.waiting
        ));
    }
    if work.compared == 0 && shadow.since.is_some() {
        return refused(
            "nothing of any connection was received since its shadow looks: shadow it over a \
             longer time"
                .into(),
        );
    }
    let faults: u64 = report
        .differences
        .iter()
        .filter(|(difference, _)| difference.kind == Kind::FaultAdded)
        .map(|(_, count)| count)
        .sum();
    // Bodies that fail together and not alone are set aside by neither.
    let faults = faults.max(work.faults.saturating_sub(work.active_faults));
    if faults > 0 {
        return refused(format!(
            "it failed {faults} times on what the active version reads, in {} entries",
            work.entries
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::Position,
        model::ConnectionId,
        store::shadows::{Difference, Shadow, Step, Work},
    };

    const NOW: Timestamp = Timestamp(1_780_000_000_000);

    const ACTIVE: Option<&str> = Some("active");

    /// One that may be switched to.
    fn report() -> Report {
        Report {
            shadow: Shadow {
                id: 1,
                connector: "hubspot".into(),
                digest: "candidate".into(),
                against: Some("active".into()),
                by: "a test".into(),
                at: NOW,
                since: None,
                step: Step::Log,
                connection: ConnectionId(0),
                position: Position(7),
                waiting: 0,
                caught_up_at: Some(NOW),
                problem: None,
                work: Work {
                    entries: 7,
                    passes: 7,
                    ..Work::default()
                },
            },
            differences: Vec::new(),
            examples: Vec::new(),
        }
    }

    /// Why one that differs in something may not be switched to.
    fn refused(change: impl FnOnce(&mut Report)) -> String {
        let mut report = report();
        change(&mut report);
        match compared("candidate", ACTIVE, Some(&report), NOW) {
            Err(Error::NotCompared(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    fn differs(kind: Kind, count: u64) -> (Difference, u64) {
        let difference = Difference {
            kind,
            object_type: None,
            name: String::new(),
        };
        (difference, count)
    }

    #[test]
    fn what_was_compared_to_the_end_may_be_switched_to_whatever_values_differ() {
        let mut report = report();
        report.differences = vec![differs(Kind::Value, 1_000), differs(Kind::FaultMissing, 2)];
        compared("candidate", ACTIVE, Some(&report), NOW).expect("compared");
    }

    #[test]
    fn what_was_not_is_refused_and_told_why() {
        let none = compared("candidate", ACTIVE, None, NOW);
        assert!(
            matches!(none, Err(Error::NotCompared(why)) if why.contains("nothing has compared"))
        );
        assert!(refused(|r| r.shadow.digest = "another".into()).contains("nothing has compared"));
        assert!(refused(|r| r.shadow.against = None).contains("active now"));
        assert!(refused(|r| r.shadow.against = Some("former".into())).contains("active now"));
        assert!(refused(|r| r.shadow.caught_up_at = None).contains("not reached"));
        let long_ago = NOW.minus(FRESH + Duration::from_millis(1));
        assert!(refused(|r| r.shadow.caught_up_at = Some(long_ago)).contains("a day ago"));
        assert!(refused(|r| r.shadow.problem = Some("it is damaged".into())).contains("damaged"));
        let faults = vec![differs(Kind::FaultAdded, 3), differs(Kind::FaultAdded, 4)];
        assert!(refused(|r| r.differences = faults).contains("failed 7 times"));
        // Of passes over several bodies that are read well alone.
        let together = |r: &mut Report| {
            r.shadow.work.faults = 5;
            r.shadow.work.active_faults = 2;
        };
        assert!(refused(together).contains("failed 3 times"));
    }

    #[test]
    fn of_a_log_that_has_nothing_all_was_compared_but_not_of_a_part_of_one() {
        let mut nothing = report();
        nothing.shadow.work = Work::default();
        compared("candidate", ACTIVE, Some(&nothing), NOW).expect("compared");
        let since = |r: &mut Report| {
            r.shadow.work = Work::default();
            r.shadow.since = Some(NOW);
        };
        assert!(refused(since).contains("longer time"));
    }
}
