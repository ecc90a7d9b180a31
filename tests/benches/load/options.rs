//! The command line.

use std::{str::FromStr, time::Duration};

use crate::scenarios::{ALL, Scenario};

/// How much of everything.
pub struct Options {
    /// Users, each with ten values.
    pub users: u64,
    /// Events of a run at full speed.
    pub events: u64,
    /// Changes a second that the host can take, in deliveries of 100.
    pub ceiling: u64,
    /// The same, in deliveries of one.
    pub ceiling_single: u64,
    /// How long a steady rate is kept up.
    pub steady: Duration,
    /// How long the soak lasts.
    pub soak: Duration,
    /// Users of the largest world of `growth`.
    pub growth_users: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            users: 100_000,
            events: 1_000_000,
            ceiling: 45_000,
            ceiling_single: 17_000,
            steady: Duration::from_secs(30),
            soak: Duration::from_secs(60 * 60),
            growth_users: 1_000_000,
        }
    }
}

/// What is asked for: the scenarios, and how much of everything. None where
/// help was asked for, or something that there is not.
pub fn asked(arguments: impl Iterator<Item = String>) -> Option<(Vec<&'static Scenario>, Options)> {
    let mut options = Options::default();
    let mut named = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--users" => options.users = number(&mut arguments)?,
            "--events" => options.events = number(&mut arguments)?,
            "--ceiling" => options.ceiling = number(&mut arguments)?,
            "--ceiling-single" => options.ceiling_single = number(&mut arguments)?,
            "--seconds" => options.steady = Duration::from_secs(number(&mut arguments)?),
            "--minutes" => {
                options.soak = Duration::from_secs_f64(60.0 * number::<f64>(&mut arguments)?);
            }
            "--growth-users" => options.growth_users = number(&mut arguments)?,
            // What `cargo bench` says to every bench.
            "--bench" => {}
            name => named.push(ALL.iter().find(|scenario| scenario.name == name)?),
        }
    }
    if named.is_empty() {
        named = ALL.iter().filter(|scenario| scenario.by_default).collect();
    }
    Some((named, options))
}

fn number<N: FromStr>(arguments: &mut impl Iterator<Item = String>) -> Option<N> {
    arguments.next()?.parse().ok()
}

/// Says what can be asked for.
pub fn help() {
    let default = Options::default();
    println!(
        "cargo build --release && \
         cargo bench --package jimo-connect-tests --bench load -- [SCENARIO …] [OPTION N …]\n\n\
         Without a name all scenarios run but `soak`, one after the other: some twenty minutes,\n\
         and once as many more to seed what they run on.\n"
    );
    for scenario in &ALL {
        println!("  {:10} {}", scenario.name, scenario.about);
    }
    println!(
        "\n  --users N           users, with ten values each ({})\
         \n  --events N          events of a run at full speed ({})\
         \n  --ceiling N         changes a second that the host takes, in deliveries of 100 ({})\
         \n  --ceiling-single N  the same, in deliveries of one ({})\
         \n  --seconds N         how long a steady rate is kept up ({})\
         \n  --minutes N         how long `soak` lasts ({})\
         \n  --growth-users N    users of the largest world of `growth` ({})",
        default.users,
        default.events,
        default.ceiling,
        default.ceiling_single,
        default.steady.as_secs(),
        default.soak.as_secs() / 60,
        default.growth_users,
    );
}
