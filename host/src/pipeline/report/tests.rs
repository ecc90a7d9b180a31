use super::*;

const NOW: Timestamp = Timestamp(1_780_000_000_000);

fn contacts() -> ObjectType {
    "contacts".into()
}

fn record(number: usize) -> RecordId {
    number.to_string().as_str().into()
}

/// More records, all of them as they were, than lines are written of, and one of them
/// by number.
fn many() -> (Report, RecordId) {
    let mut report = Report::default();
    let origin = Origin {
        word: "webhook",
        plugin: None,
    };
    for number in 0..ACTIVITY_LINES_MAX + 50 {
        let told = RecordReport::default();
        report.record(&origin, &contacts(), &record(number), told, NOW);
    }
    (report, record(ACTIVITY_LINES_MAX + 20))
}

fn counts(report: &Report) -> [i64; 3] {
    [UPDATED, UNCHANGED, SKIPPED].map(|name| report.counts.get(name).copied().unwrap_or(0))
}

#[test]
fn a_record_that_no_line_tells_of_is_counted_once_whatever_it_comes_to() {
    let (mut report, late) = many();
    assert_eq!(counts(&report), [0, 250, 0]);
    for user in [UserId(1), UserId(2)] {
        report.selected(&contacts(), &late, user, Vec::new(), NOW);
    }
    assert_eq!(counts(&report), [1, 249, 0]);
    // Nobody told of this one.
    for user in [UserId(1), UserId(2)] {
        report.selected(&contacts(), &record(9_999), user, Vec::new(), NOW);
    }
    assert_eq!(counts(&report), [2, 249, 0]);
}

#[test]
fn what_is_held_of_a_record_that_no_line_tells_of_is_counted_once() {
    let (mut report, late) = many();
    for _ in 0..2 {
        report.held(&contacts(), &late);
    }
    assert_eq!(counts(&report), [0, 249, 1]);
}

#[test]
fn why_a_record_did_nothing_counts_no_more_once_it_shows_on_somebody() {
    let origin = Origin {
        word: "webhook",
        plugin: None,
    };
    // Whether a line tells of it, or there is room for none.
    for (others, unchanged) in [(0, 0), (ACTIVITY_LINES_MAX, 200)] {
        let mut report = Report::default();
        for number in 0..others {
            let told = RecordReport::default();
            report.record(&origin, &contacts(), &record(1 + number), told, NOW);
        }
        let mut told = RecordReport::default();
        told.reason("older");
        report.record(&origin, &contacts(), &record(0), told, NOW);
        assert_eq!(counts(&report), [0, unchanged, 1]);
        assert_eq!(report.counts["skipped.older"], 1);
        for user in [UserId(1), UserId(2)] {
            report.selected(&contacts(), &record(0), user, Vec::new(), NOW);
        }
        assert_eq!(counts(&report), [1, unchanged, 0]);
        assert_eq!(report.counts["skipped.older"], 0);
    }
}

#[test]
fn a_record_that_is_told_of_twice_goes_by_what_changed_anything() {
    let origin = Origin {
        word: "push",
        plugin: None,
    };
    let one = record(1);
    let told = |report: &mut Report, say: fn(&mut RecordReport)| {
        let mut told = RecordReport::default();
        say(&mut told);
        report.record(&origin, &contacts(), &one, told, NOW);
    };
    // As it was, and older: what is held of it shows on the line that says it was.
    for older_first in [false, true] {
        let mut report = Report::default();
        for is_older in [older_first, !older_first] {
            match is_older {
                true => told(&mut report, |told| told.reason("older")),
                false => told(&mut report, |_| {}),
            }
        }
        report.held(&contacts(), &one);
        assert_eq!(counts(&report), [0, 0, 2]);
        let line = &report.lines[usize::from(older_first)];
        assert_eq!(line.reason.as_deref(), Some(HELD));
    }
    // Updated, then as it was: who shows it beside is counted with what updated it.
    for updated_first in [true, false] {
        let mut report = Report::default();
        for updates in [updated_first, !updated_first] {
            match updates {
                true => told(&mut report, |told| told.shown(UserId(1), "job_title")),
                false => told(&mut report, |_| {}),
            }
        }
        report.selected(&contacts(), &one, UserId(2), Vec::new(), NOW);
        assert_eq!(counts(&report), [1, 1, 0]);
        let line = &report.lines[usize::from(!updated_first)];
        assert_eq!(line.users, [UserId(1), UserId(2)]);
    }
}

#[test]
fn a_run_counts_a_record_once_that_is_told_of_twice() {
    let run = RunId(1);
    let origin = Origin {
        word: "full_sync",
        plugin: None,
    };
    let told: [fn(&mut RecordReport); 3] = [
        |told| told.shown(UserId(1), "job_title"),
        |_| {},
        |told| told.reason("unmatched"),
    ];
    // Whatever comes first, and whether another record's step told of it before.
    for first in 0..told.len() {
        for was_selected in [false, true] {
            let mut report = Report::default();
            report.count_for(Some(run));
            if was_selected {
                report.selected(&contacts(), &record(1), UserId(2), Vec::new(), NOW);
            }
            for next in 0..told.len() {
                let mut one = RecordReport::default();
                one.matched();
                told[(first + next) % told.len()](&mut one);
                report.record(&origin, &contacts(), &record(1), one, NOW);
            }
            let mut counted = report.counted_for(run);
            counted.counts.retain(|_, count| *count != 0);
            let once = [READ, MATCHED, UPDATED].map(|name| (name.to_owned(), 1));
            assert_eq!(counted.counts, once.into());
            let mut examples = counted.examples.into_values();
            assert!(examples.all(|some| some.is_empty()));
        }
    }
}
