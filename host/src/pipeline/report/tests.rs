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
