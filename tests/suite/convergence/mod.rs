//! Whatever happens in HubSpot and Jimo, and however the network tells it, every
//! user ends up with what HubSpot says: random histories on a real host before
//! a simulated HubSpot, compared with an oracle of the simulator's own truth.
//!
//! Where webhooks are lost and no journal is read, or values are calculated without
//! a stamp, a catch-up finds them; else live alone does, and a catch-up changes
//! nothing. Left out are fields that are mapped after records exist.

mod chance;
mod history;
mod oracle;
mod people;
mod portal;
mod remembered;
mod run;
mod together;
mod weeks;
mod wire;

use std::hash::{BuildHasher, RandomState};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner},
};

/// How many histories are run, where `CONVERGENCE_HISTORIES` does not say.
const HISTORIES: u32 = 12;

/// A failing history is cut down in at most so many runs.
const SHRINKS_MAX: u32 = 300;

#[test]
fn every_user_ends_up_with_what_hubspot_says() {
    let mut config = Config {
        cases: std::env::var("CONVERGENCE_HISTORIES")
            .map_or(HISTORIES, |cases| cases.parse().unwrap()),
        max_shrink_iters: SHRINKS_MAX,
        failure_persistence: None,
        ..Config::default()
    };
    // `PROPTEST_RNG_SEED` runs the histories of a seed again.
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(()),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    let outcome = TestRunner::new(config).run(&chance::histories().boxed(), |history| {
        run::to_the_end(&history).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, history)) => {
            panic!("PROPTEST_RNG_SEED={seed}\n{history:?}\n{reason}")
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}
