//! Power cuts: from a trace of what the program wrote and synced, and when it
//! answered, the disk is made as a power cut would have left it at many
//! instants. Whatever was answered 204 before must be there, and a host on it
//! must end with the right values.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use harness::{bare::config, engine, program, seed::fill};
use jimo_connect::{clock::Clock, log::EventLog};

use super::{
    changes::{Changes, logged, outcome, seed, world},
    image::{Disk, Files},
    random::Random,
    trace::Event,
    traced::{self, Root, Step, files, made, steps},
};

/// At how many instants a whole host is started on what is left, where
/// `POWER_CUTS` does not say. The log alone is looked at more often.
const CUTS: u64 = 16;

/// Accounts whose deliveries are worked on by turns, and beside one another.
const ACCOUNTS: u64 = 3;

/// Users of them whose contacts change.
const USERS: u64 = 102;

/// Changes of a delivery.
const EVENTS: u64 = 20;

/// Deliveries of one run of the program.
const DELIVERIES: usize = 60;

/// Connections that send at once.
const CONNECTIONS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_204_outlives_a_power_cut_at_any_instant() {
    let mut random = Random::seeded_by("POWER_SEED");
    let root = Root::new();
    let data = root.disk.join("data");
    let world = world(USERS, ACCOUNTS);
    let projects = fill(&data, world).await;
    let mut disk = Disk::new(&root.disk, std::slice::from_ref(&data), files(&data));
    let bodies = Changes::of(random.next_seed(), world, EVENTS).take(2 * DELIVERIES);
    // The command between closes the store, which moves its write-ahead log
    // into the file and removes it.
    let mut steps = serve(&root, &data, &bodies[..DELIVERIES]).await;
    steps.extend(list_projects(&root, &data));
    let second = serve(&root, &data, &bodies[DELIVERIES..]).await;
    steps.extend(second.into_iter().map(|step| match step {
        Step::Answered(index) => Step::Answered(index + DELIVERIES),
        step => step,
    }));

    let cuts = std::env::var("POWER_CUTS").map_or(CUTS, |cuts| cuts.parse().unwrap());
    let whole = instants(&mut random, steps.len(), cuts);
    let mut answered = Vec::new();
    for (instant, step) in steps.iter().enumerate() {
        match step {
            Step::Disk(event) => disk.happened(event),
            Step::Answered(index) => {
                answered.push(&bodies[*index]);
                let lost = lost(&disk.cut(), &root.disk, &answered).await;
                assert_eq!(lost, 0, "at {instant} of {}", steps.len());
            }
        }
        if whole.contains(&instant) {
            for left in [disk.cut(), disk.cut_by_chance(&mut random)] {
                let directory = made(&left, &root.disk);
                let outcome = outcome(&directory.path().join("data"), &projects).await;
                let fault = outcome.fault(&answered, USERS);
                assert_eq!(fault, None, "at {instant} of {}", steps.len());
            }
        }
    }
    assert_eq!(answered.len(), bodies.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_in_the_first_start_loses_nothing_and_leaves_nothing_in_the_way() {
    let mut random = Random::seeded_by("POWER_SEED");
    let root = Root::new();
    // Neither is there yet.
    let data = root.disk.join("var/data");
    let bodies = Changes::new(random.next_seed(), USERS, 1).take(8);
    let steps = serve(&root, &data, &bodies).await;
    let mut disk = Disk::new(&root.disk, &[], Files::new());
    let whole = instants(&mut random, steps.len(), CUTS);
    let mut answered = Vec::new();
    for (instant, step) in steps.iter().enumerate() {
        match step {
            Step::Disk(event) => disk.happened(event),
            Step::Answered(index) => {
                answered.push(&bodies[*index]);
                assert_eq!(lost(&disk.cut(), &root.disk, &answered).await, 0);
            }
        }
        if whole.contains(&instant) {
            for left in [disk.cut(), disk.cut_by_chance(&mut random)] {
                let directory = made(&left, &root.disk);
                let data = directory.path().join("var/data");
                let url = "http://127.0.0.1:1".parse().unwrap();
                let opened = engine::open(config(&data), url, Clock::system()).await;
                let error = opened.err().map(|error| error.to_string());
                assert_eq!(error, None, "at {instant} of {}", steps.len());
            }
        }
    }
    assert_eq!(answered.len(), bodies.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_whose_name_was_not_synced_when_it_was_made_is_by_the_next_start() {
    let root = Root::new();
    let data = root.disk.join("data");
    std::fs::create_dir(&data).unwrap();
    let mut disk = Disk::new(&root.disk, &[], Files::new());
    disk.happened(&Event::Directory(data.clone()));
    let bodies = Changes::new(Random::seeded_by("POWER_SEED"), 1, 1).take(4);
    let mut answered = Vec::new();
    for step in serve(&root, &data, &bodies).await {
        match step {
            Step::Disk(event) => disk.happened(&event),
            Step::Answered(index) => {
                answered.push(&bodies[index]);
                assert_eq!(lost(&disk.cut(), &root.disk, &answered).await, 0);
            }
        }
    }
    assert_eq!(answered.len(), bodies.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_only_says_that_it_synced_is_found_out() {
    let root = Root::that_lies();
    let data = root.disk.join("data");
    seed(&data, 1).await;
    let mut disk = Disk::new(&root.disk, std::slice::from_ref(&data), files(&data));
    let bodies = Changes::new(Random::seeded_by("POWER_SEED"), 1, 1).take(8);
    let mut answered = Vec::new();
    for step in serve(&root, &data, &bodies).await {
        match step {
            Step::Disk(event) => disk.happened(&event),
            Step::Answered(index) => answered.push(&bodies[index]),
        }
    }
    let lost = lost(&disk.cut(), &root.disk, &answered).await;
    assert_eq!(lost, bodies.len());
}

#[test]
fn what_the_writer_says_is_durable_is_through_all_checkpoints() {
    let mut random = Random::seeded_by("POWER_SEED");
    assert_eq!(first_loss("host", &mut random), None);
}

#[test]
fn a_writer_that_does_not_sync_is_found_out() {
    let mut random = Random::seeded_by("POWER_SEED");
    assert!(first_loss("off", &mut random).is_some());
}

/// Runs the writer, cuts power at every instant at which it says something and
/// at others, and returns the first loss.
fn first_loss(how: &str, random: &mut Random) -> Option<String> {
    let root = Root::new();
    let wrapper = root.tracer();
    let written = Command::new(&wrapper[0])
        .args(&wrapper[1..])
        .arg(env!("CARGO_BIN_EXE_durable-writer"))
        .arg(root.disk.join("data"))
        .arg(how)
        .output()
        .unwrap();
    assert!(written.status.success(), "{written:?}");
    let mut disk = Disk::new(&root.disk, &[], Files::new());
    let mut durable = 0;
    for event in root.traced() {
        disk.happened(&event);
        if let Event::Said { port: None, bytes } = &event {
            durable = String::from_utf8_lossy(bytes).trim().parse().unwrap();
        } else if random.below(16) > 0 {
            continue;
        }
        for left in [disk.cut(), disk.cut_by_chance(random)] {
            let directory = made(&left, &root.disk);
            if let Err(loss) = whole_rows(&directory.path().join("data/rows.sqlite"), durable) {
                return Some(loss);
            }
        }
    }
    assert!(durable > 0);
    None
}

/// Whether the rows up to a number are there, and the file is whole.
fn whole_rows(path: &Path, durable: i64) -> Result<(), String> {
    if durable == 0 {
        return Ok(());
    }
    let refused = |error: rusqlite::Error| error.to_string();
    let connection = rusqlite::Connection::open(path).map_err(refused)?;
    let checked: String = connection
        .query_one("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(refused)?;
    let rows: i64 = connection
        .query_one(
            "SELECT count(*) FROM rows
             WHERE number <= ?1 AND body = unhex(replace(hex(zeroblob(3000)), '00',
                printf('%02X', number)))",
            [durable],
            |row| row.get(0),
        )
        .map_err(refused)?;
    if checked == "ok" && rows == durable {
        Ok(())
    } else {
        Err(format!("{checked}; {rows} of {durable} rows"))
    }
}

/// Has the program take these in, and apply them.
async fn serve(root: &Root, data: &Path, bodies: &[String]) -> Vec<Step> {
    traced::serve(root, data, bodies, CONNECTIONS, async |_| {}).await
}

/// So many instants, drawn from all.
fn instants(random: &mut Random, all: usize, count: u64) -> Vec<usize> {
    let drawn = (0..count).map(|_| random.below(all as u64) as usize);
    drawn.chain([all - 1]).collect()
}

/// Opens and closes the store, as every command does.
fn list_projects(root: &Root, data: &Path) -> Vec<Step> {
    let wrapper = root.tracer();
    let listed = Command::new(&wrapper[0])
        .args(&wrapper[1..])
        .arg(program::path())
        .args(["project", "list"])
        .env("JIMO_DATA_DIR", data)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(listed.success());
    steps(root.traced(), &[])
}

/// How many of these deliveries are not in the log that is left.
async fn lost(left: &Files, root: &Path, answered: &[&String]) -> usize {
    let directory = made(left, root);
    let log = left
        .keys()
        .find(|path| path.ends_with("log.sqlite"))
        .and_then(|path| path.parent())
        .map(|data| directory.path().join(data.strip_prefix(root).unwrap()));
    let Some(data) = log else {
        return answered.len();
    };
    let log = EventLog::open(&data).await.unwrap();
    let mut logged = logged(&log).await;
    let is_lost = |body: &&&String| {
        let at = logged.iter().position(|logged| logged == body.as_bytes());
        at.map(|at| logged.swap_remove(at)).is_none()
    };
    answered.iter().filter(is_lost).count()
}
