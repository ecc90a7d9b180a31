//! What came by the hour, as a drawing, and as a table for those who cannot see
//! it.

use askama::Template;

use super::super::super::format::{self, Calendar, Moment};
use crate::{model::Timestamp, store::hours::Hour};

/// Units that an hour has in the drawing's own measure, and that its bar has.
const STEP: u32 = 10;
const THICK: f64 = 8.0;

/// The drawing's height, in its own measure.
const HEIGHT: f64 = 100.0;

/// The most labels below the drawing.
const LABELS: usize = 5;

/// Hours that are told by their times of day; more are told by their days.
const HOURS_OF_DAYS: usize = 48;

/// What came by the hour.
#[derive(Template)]
#[template(path = "health/chart.html")]
pub(super) struct Chart {
    width: u32,
    height: f64,
    step: u32,
    thick: f64,
    /// All of it, in a sentence.
    summary: String,
    lines: Vec<Line>,
    bars: Vec<Bar>,
    axis: Vec<String>,
    rows: Vec<Row>,
}

/// A line across, with what it means.
struct Line {
    y: f64,
    label: String,
    /// 0 at the top, 1 in the middle, 2 at the bottom.
    place: usize,
}

/// An hour.
struct Bar {
    x: u32,
    inner: f64,
    /// What is said of it when one points at it.
    title: String,
    parts: Vec<Part>,
}

/// Records that did the same.
struct Part {
    class: &'static str,
    y: f64,
    height: f64,
}

/// An hour in the table.
struct Row {
    at: Moment,
    updated: String,
    unchanged: String,
    no_match: String,
    waiting: String,
    skipped: String,
    p50: String,
    p95: String,
}

impl Chart {
    /// The drawing of hours, the oldest first.
    pub fn of(hours: &[Hour], calendar: &Calendar) -> Self {
        let most = hours.iter().map(total).max().unwrap_or(0);
        let scale = scale(most);
        let bars = hours.iter().zip(0..).map(|(hour, index)| {
            let x = index * STEP;
            Bar {
                x,
                inner: f64::from(x) + (f64::from(STEP) - THICK) / 2.0,
                title: title(hour, calendar),
                parts: parts(hour, scale),
            }
        });
        let bars: Vec<Bar> = bars.collect();
        Self {
            width: u32::try_from(hours.len()).unwrap_or(1).max(1) * STEP,
            height: HEIGHT,
            step: STEP,
            thick: THICK,
            summary: summary(hours, calendar),
            lines: lines(scale),
            bars,
            axis: axis(hours, calendar),
            rows: hours.iter().rev().map(|hour| row(hour, calendar)).collect(),
        }
    }
}

fn total(hour: &Hour) -> i64 {
    let tally = hour.tally;
    tally.updated + tally.unchanged + tally.no_match + tally.waiting + tally.skipped
}

/// The number that the top stands for: the next of 1, 2 and 5 in any power of ten,
/// and at least ten.
fn scale(most: i64) -> i64 {
    let mut power = 10_i64;
    loop {
        for step in [1, 2, 5] {
            let top = power.saturating_mul(step);
            if top >= most {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn parts(hour: &Hour, scale: i64) -> Vec<Part> {
    let tally = hour.tally;
    let counts = [
        ("updated", tally.updated),
        ("unchanged", tally.unchanged),
        ("skipped", tally.skipped),
        ("waiting", tally.waiting),
        ("no-match", tally.no_match),
    ];
    let mut top = HEIGHT;
    let mut parts = Vec::new();
    for (class, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        // Counts are far below what a float holds exactly. One that is there is
        // seen.
        let height = (count as f64 / scale as f64 * HEIGHT).max(0.75);
        top -= height;
        parts.push(Part {
            class,
            y: rounded(top.max(0.0)),
            height: rounded(height),
        });
    }
    parts
}

fn lines(scale: i64) -> Vec<Line> {
    let line = |place: usize, share: i64| Line {
        y: rounded(HEIGHT / 2.0 * place as f64),
        label: format::count(scale * share / 2),
        place,
    };
    vec![line(0, 2), line(1, 1), line(2, 0)]
}

fn axis(hours: &[Hour], calendar: &Calendar) -> Vec<String> {
    let last = hours.len().saturating_sub(1);
    let label = |at: Timestamp| match hours.len() > HOURS_OF_DAYS {
        true => calendar.short_day(at),
        false => calendar.clock(at),
    };
    let places = (0..LABELS).map(|place| last * place / (LABELS - 1));
    places
        .filter_map(|index| hours.get(index))
        .map(|hour| label(hour.at))
        .collect()
}

fn title(hour: &Hour, calendar: &Calendar) -> String {
    let tally = hour.tally;
    let mut title = format!(
        "{} {}: {} updated, {} nothing new, {} no match, {} waited, {} skipped",
        calendar.short_day(hour.at),
        calendar.clock(hour.at),
        format::count(tally.updated),
        format::count(tally.unchanged),
        format::count(tally.no_match),
        format::count(tally.waiting),
        format::count(tally.skipped)
    );
    if let Some(p95) = hour.p95_seconds {
        title.push_str(&format!("; 95 of 100 within {}", format::within(p95)));
    }
    title
}

fn summary(hours: &[Hour], calendar: &Calendar) -> String {
    let all: i64 = hours.iter().map(total).sum();
    let busiest = hours.iter().max_by_key(|hour| total(hour));
    match busiest {
        Some(hour) if all > 0 => format!(
            "{} records came in {} hours; most, {}, in the hour from {} {}. The table below has all \
             numbers.",
            format::count(all),
            hours.len(),
            format::count(total(hour)),
            calendar.short_day(hour.at),
            calendar.clock(hour.at)
        ),
        _ => "Nothing came in this time.".to_owned(),
    }
}

fn row(hour: &Hour, calendar: &Calendar) -> Row {
    let tally = hour.tally;
    let took = |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), format::within);
    Row {
        at: Moment {
            datetime: hour.at.to_string(),
            text: format!(
                "{}, {}",
                calendar.short_day(hour.at),
                calendar.clock(hour.at)
            ),
        },
        updated: format::count(tally.updated),
        unchanged: format::count(tally.unchanged),
        no_match: format::count(tally.no_match),
        waiting: format::count(tally.waiting),
        skipped: format::count(tally.skipped),
        p50: took(hour.p50_seconds),
        p95: took(hour.p95_seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::hours::Tally;

    #[test]
    fn the_top_is_a_round_number_that_holds_all() {
        for (most, top) in [
            (0, 10),
            (10, 10),
            (11, 20),
            (21, 50),
            (51, 100),
            (1_001, 2_000),
        ] {
            assert_eq!(scale(most), top, "{most}");
        }
        assert_eq!(scale(i64::MAX), i64::MAX);
    }

    #[test]
    fn bars_stand_on_the_ground_and_what_is_there_is_seen() {
        let hour = Hour {
            tally: Tally {
                updated: 40,
                no_match: 1_000,
                skipped: 1,
                ..Tally::default()
            },
            ..Hour::default()
        };
        let parts = parts(&hour, scale(total(&hour)));
        assert_eq!(parts.len(), 3);
        assert_eq!((parts[0].y, parts[0].height), (98.0, 2.0));
        assert!(parts[1].height > 0.7 && parts[2].y > 0.0);
    }
}
