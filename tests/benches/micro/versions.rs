//! What versions take: one after another is installed and run once, in an engine of
//! their own, and the process is looked at in between.

use std::{
    fs,
    time::{Duration, Instant},
};

use harness::components::rebuilt;
use jimo_connect::{
    plugin::{EMBEDDED, Engine, Limits},
    sources::check,
};

use crate::input::{DELIVERY, EVENTS, pass_of};

/// Versions that are loaded at the end.
const VERSIONS: usize = 8;

/// Prints what each costs: to install it, its first pass, the next one, and how much
/// memory the process has with it.
pub fn print() {
    println!("\n| versions loaded | install ms | first pass us | next us | resident MiB |");
    println!("| --- | --- | --- | --- | --- |");
    let engine = Engine::new(&Limits::default()).unwrap();
    println!("| 0 | | | | {:.1} |", resident_mib());
    let mut loaded = Vec::new();
    for version in 1..=VERSIONS {
        let component = rebuilt(EMBEDDED, &version.to_string());
        let begun = Instant::now();
        let version = check(&engine, &component).unwrap();
        let install = begun.elapsed();
        let [first, next] = [(); 2].map(|()| {
            let begun = Instant::now();
            let output = pass_of(&version, &DELIVERY, EVENTS, true);
            assert_eq!(output.changes.len(), EVENTS);
            begun.elapsed()
        });
        loaded.push(version);
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.1} |",
            loaded.len(),
            install.as_secs_f64() * 1e3,
            micros(first),
            micros(next),
            resident_mib()
        );
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// How much memory this process has.
fn resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<f64>().unwrap() / 1024.0
}
