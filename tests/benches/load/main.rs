//! The load driver: the program itself on a seeded data directory, real HTTP,
//! signed deliveries, a synced log. What is measured includes the driver's own
//! share of the machine.
//!
//! `cargo build --release`, then `cargo bench --package jimo-connect-tests
//! --bench load -- --help` says what can be measured.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on fails by panicking"
)]

mod alone;
mod deliveries;
mod measure;
mod options;
mod probes;
mod process;
mod report;
mod scenarios;
mod seed;
mod senders;

use std::{process::ExitCode, time::Instant};

use options::Asked;

fn main() -> ExitCode {
    let (scenarios, options) = match options::asked(std::env::args().skip(1)) {
        Ok(Asked::Scenarios(scenarios, options)) => (scenarios, options),
        Ok(Asked::Help) => {
            options::help();
            return ExitCode::SUCCESS;
        }
        Err(argument) => {
            eprintln!("{argument} is nothing that can be asked for; --help says what is");
            return ExitCode::from(2);
        }
    };
    println!("{}", process::machine());
    for scenario in scenarios {
        let begun = Instant::now();
        println!("\n{}: {}", scenario.name, scenario.about);
        (scenario.run)(&options);
        eprintln!("{} took {:.0?}", scenario.name, begun.elapsed());
    }
    ExitCode::SUCCESS
}
