//! The command line.

use std::time::Duration;

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

/// What is asked for.
pub enum Asked {
    /// To say what can be.
    Help,
    /// These scenarios, and so much of everything.
    Scenarios(Vec<&'static Scenario>, Options),
}

/// Reads the command line; fails with what it does not understand.
pub fn asked(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut options = Options::default();
    let mut named = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" => return Ok(Asked::Help),
            // What `cargo bench` says to every bench.
            "--bench" => {}
            option if option.starts_with('-') => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                let number = number.filter(|number| *number > 0.0).ok_or(&argument)?;
                options.set(option, number).ok_or(&argument)?;
            }
            name => {
                let scenario = ALL.iter().find(|scenario| scenario.name == name);
                named.push(scenario.ok_or(&argument)?);
            }
        }
    }
    if named.is_empty() {
        named = ALL.iter().filter(|scenario| scenario.by_default).collect();
    }
    Ok(Asked::Scenarios(named, options))
}

impl Options {
    /// Sets an option; none where there is no such one.
    fn set(&mut self, option: &str, number: f64) -> Option<()> {
        // Nothing that is counted is as much as a float cannot hold.
        let count = number as u64;
        match option {
            "--users" => self.users = count,
            "--events" => self.events = count,
            "--ceiling" => self.ceiling = count,
            "--ceiling-single" => self.ceiling_single = count,
            "--seconds" => self.steady = Duration::from_secs(count),
            "--minutes" => self.soak = Duration::from_secs_f64(60.0 * number),
            "--growth-users" => self.growth_users = count,
            _ => return None,
        }
        Some(())
    }
}

/// Says what can be asked for.
pub fn help() {
    let default = Options::default();
    println!(
        "cargo build --release && \
         cargo bench --package jimo-connect-tests --bench load -- [SCENARIO …] [OPTION N …]\n\n\
         Without a name all scenarios run but `soak`, one after the other: some twenty minutes,\n\
         and some more the first time, to seed what they run on.\n"
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
