//! The scenarios, a file each.

mod abuse;
mod ceiling;
mod fairness;
mod fanout;
mod growth;
mod latency;
mod memory;
mod past;
mod rates;
mod soak;
mod stages;
mod start;
mod swap;

use crate::options::Options;

/// A measurement by name.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Whether it runs where none is named.
    pub by_default: bool,
    /// Measures, and prints a table.
    pub run: fn(&Options),
}

/// All scenarios, in the order in which they run.
pub const ALL: [Scenario; 16] = [
    Scenario {
        name: "random",
        about: "changes a second: deliveries of 100, random contacts, every change real",
        by_default: true,
        run: rates::random,
    },
    Scenario {
        name: "import",
        about: "changes a second: 20 contacts, 5 properties of each a delivery",
        by_default: true,
        run: rates::import,
    },
    Scenario {
        name: "replay",
        about: "changes a second: what was applied before, once more",
        by_default: true,
        run: rates::replay,
    },
    Scenario {
        name: "single",
        about: "changes a second: one change a delivery, over 64 to 256 connections",
        by_default: true,
        run: rates::single,
    },
    Scenario {
        name: "latency",
        about: "time to the 204 and to the readable value, at a tenth of the ceiling",
        by_default: true,
        run: latency::run,
    },
    Scenario {
        name: "ceiling",
        about: "time to the 204 and memory, with 8 and 64 connections at full speed",
        by_default: true,
        run: ceiling::run,
    },
    Scenario {
        name: "past",
        about: "2,000 connections at once: what is answered, held, and applied",
        by_default: true,
        run: past::run,
    },
    Scenario {
        name: "fanout",
        about: "a company's change that reaches 10,000 users, beside another account",
        by_default: true,
        run: fanout::run,
    },
    Scenario {
        name: "fairness",
        about: "others before and during the flood of an account: one, and many at work",
        by_default: true,
        run: fairness::run,
    },
    Scenario {
        name: "abuse",
        about: "good deliveries beside idle connections and bad signatures",
        by_default: true,
        run: abuse::run,
    },
    Scenario {
        name: "swap",
        about: "time to the 204 and to the readable value while plugin versions are switched",
        by_default: true,
        run: swap::run,
    },
    Scenario {
        name: "memory",
        about: "memory at rest and at the ceiling",
        by_default: true,
        run: memory::run,
    },
    Scenario {
        name: "start",
        about: "from the program's start to ready",
        by_default: true,
        run: start::run,
    },
    Scenario {
        name: "growth",
        about: "cost by users, mapped fields, and connections",
        by_default: true,
        run: growth::run,
    },
    Scenario {
        name: "stages",
        about: "CPU time by stage, and the passes' share of it",
        by_default: true,
        run: stages::run,
    },
    Scenario {
        name: "soak",
        about: "memory over --minutes at half the ceiling",
        by_default: false,
        run: soak::run,
    },
];
