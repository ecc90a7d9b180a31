//! The program, killed at random instants under full load.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use harness::{
    program::{self, Program},
    seed::fill,
};
use jimo_connect::store::Store;
use tempfile::TempDir;

use super::{
    changes::{Changes, outcome, world},
    random::Random,
    senders,
};

/// How often it is killed, where `KILL_ROUNDS` does not say.
const ROUNDS: u32 = 6;

/// Users whose contacts change.
const USERS: u64 = 1_000;

/// Accounts that they are of. The first has most of the changes.
const ACCOUNTS: u64 = 3;

/// Changes of a delivery.
const EVENTS: u64 = 100;

/// Connections that send at once.
const CONNECTIONS: usize = 8;

/// Deliveries at hand in a round; it is killed before all are answered.
const DELIVERIES: usize = 400;

/// It is killed after fewer answers than this, which are drawn.
const ANSWERS_MAX: u64 = 200;

/// And so many milliseconds later, which are drawn, too: in the middle of
/// whatever it does.
const LATER_MAX: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn no_delivery_that_got_204_is_lost_or_applied_wrongly_whenever_it_is_killed() {
    let rounds = std::env::var("KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut random = Random::seeded_by("KILL_SEED");
    let directory = TempDir::new().unwrap();
    let world = world(USERS, ACCOUNTS);
    let projects = fill(directory.path(), world).await;
    let mut changes = Changes::of(random.next_seed(), world, EVENTS);
    let mut answered = Vec::new();
    let mut were_ahead = 0;
    for _ in 0..rounds {
        let program = Program::start(directory.path(), &program::alone());
        let bodies = changes.take(DELIVERIES);
        let (answers, later) = (random.below(ANSWERS_MAX), random.below(LATER_MAX));
        let count = AtomicUsize::new(0);
        let connections = std::thread::scope(|scope| {
            let url = program.url.clone();
            let (bodies, count) = (&bodies, &count);
            let sending = scope.spawn(move || senders::send(&url, bodies, CONNECTIONS, count));
            while (count.load(Ordering::Relaxed) as u64) < answers && !sending.is_finished() {
                std::thread::sleep(Duration::from_micros(100));
            }
            std::thread::sleep(Duration::from_millis(later));
            program.kill();
            sending.join().unwrap()
        });
        let indices = connections.iter().flat_map(|one| &one.answered);
        answered.extend(indices.map(|index| bodies[*index].clone()));
        were_ahead += u32::from(is_ahead(directory.path()).await);
    }
    let outcome = outcome(directory.path(), &projects).await;
    let fault = outcome.fault(&answered.iter().collect::<Vec<_>>(), USERS);
    assert_eq!(fault, None);
    println!(
        "{rounds} kills, {were_ahead} of them while an account was ahead of another, {} deliveries answered 204, {} taken in",
        answered.len(),
        outcome.logged.len()
    );
}

/// Whether an account was ahead of another when the program was killed. It is looked
/// for in a copy of the store: the program itself is to recover what it left.
async fn is_ahead(killed: &Path) -> bool {
    let copy = TempDir::new().unwrap();
    for name in ["store.sqlite", "store.sqlite-wal"] {
        std::fs::copy(killed.join(name), copy.path().join(name)).unwrap();
    }
    let store = Store::open(copy.path()).unwrap();
    let place = store.read(|tx| tx.log_place()).await.unwrap();
    place.last() > place.up_to
}
