//! `plugin shadow`: what a version would change, told while it is compared with the
//! active one.

use std::time::Duration;

use super::{Error, OPERATOR};
use crate::{
    clock::Clock,
    store::{
        self, Store,
        shadows::{Difference, Example, Shadow},
    },
    sync::versions::shadow::{self, Report},
};

/// How long a command waits until a shadow is at the log's end.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it looks how far it is, and how often it says so.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const SAY_EVERY: Duration = Duration::from_secs(5);

/// A time as operators write it: `30m`, `6h`, `2d`.
pub fn within(text: &str) -> Result<Duration, String> {
    let wrong = || "say how long with its unit: 30m, 6h, 2d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// Has the host compare a version with the active one, waits for a while until it has
/// read all that there is, and prints what it found.
pub async fn run(store: &Store, begins: String, since: Option<Duration>) -> Result<(), Error> {
    let (by, now) = (OPERATOR.to_owned(), Clock::system().now());
    let started = shadow::request(store, begins, since, by, now).await?;
    let mut report = look(store, &started).await?;
    let waited = async {
        let mut said = tokio::time::Instant::now();
        while report.shadow.caught_up_at.is_none() && report.shadow.problem.is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
            report = look(store, &started).await?;
            if said.elapsed() >= SAY_EVERY {
                said = tokio::time::Instant::now();
                eprintln!("{}", state(&report));
            }
        }
        Ok::<_, Error>(())
    };
    match tokio::time::timeout(PATIENCE, waited).await {
        Ok(done) => done?,
        Err(_) if report.shadow.against.is_none() => eprintln!(
            "no host has begun within {} seconds: it does when it runs",
            PATIENCE.as_secs()
        ),
        Err(_) => eprintln!("it goes on: ask again"),
    }
    for line in lines(&report) {
        println!("{line}");
    }
    Ok(())
}

/// Ends the shadow of a version.
pub async fn stop(store: &Store, begins: String) -> Result<(), Error> {
    shadow::end(store, begins).await?;
    println!("ended");
    Ok(())
}

async fn look(store: &Store, started: &Shadow) -> Result<Report, Error> {
    let (id, connector) = (started.id, started.connector.clone());
    let report = store.read(move |tx| Report::load(tx, &connector)).await?;
    let report = report.filter(|report| report.shadow.id == id);
    report.ok_or_else(|| Error::Usage("its shadow was ended meanwhile".into()))
}

/// How far a shadow is, in one line.
pub fn state(report: &Report) -> String {
    let shadow = &report.shadow;
    let far = match (&shadow.problem, &shadow.against, shadow.caught_up_at) {
        (Some(problem), _, _) => format!("cannot be compared: {problem}"),
        (None, None, _) => "has not begun".to_owned(),
        (None, Some(_), Some(at)) => format!("was at the end of the log at {at}"),
        (None, Some(_), None) => "compares".to_owned(),
    };
    let entries = shadow.work.entries;
    let (waiting, differences) = (shadow.waiting, report.difference_count());
    format!("{far}; entries compared: {entries}, waiting: {waiting}, differences: {differences}")
}

/// What a shadow found, line by line.
pub fn lines(report: &Report) -> Vec<String> {
    let (shadow, work) = (&report.shadow, &report.shadow.work);
    let since = shadow.since.map(|since| since.to_string());
    let mut lines = vec![
        format!("shadow\t{}", shadow.digest),
        format!("against\t{}", shadow.against.as_deref().unwrap_or("-")),
        format!("started\t{} by {}", shadow.at, shadow.by),
        format!(
            "since\t{}",
            since.as_deref().unwrap_or("as far back as the log keeps")
        ),
        format!("state\t{}", state(report)),
        format!(
            "compared\t{} entries of {} bytes with {} events; {} mappings and {} kept texts; {} \
             outcomes in all, in {} ms of work",
            work.entries,
            work.bytes,
            work.events,
            work.mappings,
            work.texts,
            work.compared,
            work.worked_microseconds / 1_000
        ),
        format!(
            "passes\t{}, of which {} failed, and {} of the active version's",
            work.passes, work.faults, work.active_faults
        ),
    ];
    let unseen = report.unseen();
    lines.extend(unseen.map(|unseen| format!("not seen\t{unseen}")));
    lines.extend(differences(&report.differences));
    lines.extend(report.examples.iter().map(example));
    lines
}

/// How often two versions differed, by how and where.
pub fn differences(differences: &[(Difference, u64)]) -> impl Iterator<Item = String> {
    differences
        .iter()
        .map(|(difference, count)| format!("{count}\t{}", named(difference)))
}

fn named(difference: &Difference) -> String {
    let object_type = difference.object_type.as_ref();
    let place = object_type.map_or_else(String::new, |object_type| format!("{object_type} "));
    format!("{}\t{place}{}", difference.kind.as_str(), difference.name)
}

fn example(example: &Example) -> String {
    let mut line = format!("example\t{}", named(&example.difference));
    let mut add = |word: &str, said: Option<String>| {
        if let Some(said) = said {
            line.push_str(&format!("\t{word} {said}"));
        }
    };
    add(
        "in",
        example.connection.map(|connection| connection.to_string()),
    );
    add("record", example.record.as_ref().map(ToString::to_string));
    let users: Vec<String> = example.users.iter().map(ToString::to_string).collect();
    let more = example.user_count.saturating_sub(users.len());
    let users = match more {
        0 => users.join(", "),
        more => format!("{} and {more} more", users.join(", ")),
    };
    add("of", (!users.is_empty()).then_some(users));
    add("as", example.variable.clone());
    add(
        "entry",
        example.position.map(|position| position.0.to_string()),
    );
    add("active", example.active.as_ref().map(ToString::to_string));
    add(
        "candidate",
        example.candidate.as_ref().map(ToString::to_string),
    );
    line
}

/// The line of a list that tells of a connector's shadow.
pub fn listed(tx: &store::Tx<'_>, connector: &str) -> Result<Option<String>, store::Error> {
    let report = Report::load(tx, connector)?;
    Ok(report.map(|report| {
        format!(
            "{:.12} shadows: it {}",
            report.shadow.digest,
            state(&report)
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        let hours = |hours: u64| Ok(Duration::from_secs(hours * 3_600));
        assert_eq!(within("6h"), hours(6));
        assert_eq!(within("2d"), hours(48));
        assert_eq!(within("30m"), Ok(Duration::from_secs(1_800)));
        for bad in ["", "h", "6", "6 h", "-6h", "6s", "6\u{e9}", "99999999999d"] {
            assert!(within(bad).is_err(), "{bad}");
        }
    }
}
