//! How many times as long a pass takes as the same code on this machine: the
//! two by turns, so that what disturbs one disturbs the other.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use crate::input::{DELIVERY, EVENTS, native, pass};

/// Turns of each.
const ROUNDS: usize = 50;

/// Calls of a turn.
const CALLS: u32 = 50;

/// Prints the ratio of the medians, for parsing alone and with converting.
pub fn print() {
    println!("\n| a delivery of {EVENTS} events | pass us | native us | ratio |");
    println!("| --- | --- | --- | --- |");
    for (name, convert) in [("parsed", false), ("parsed and converted", true)] {
        let changes = pass(&DELIVERY, EVENTS, convert).changes.len();
        assert_eq!(changes, EVENTS, "a pass tells every change");
        let values = if convert { EVENTS } else { 0 };
        assert_eq!(native(&DELIVERY, convert), (EVENTS, values));
        let (mut passes, mut natives) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            passes.push(turn(|| pass(&DELIVERY, EVENTS, convert)));
            natives.push(turn(|| native(&DELIVERY, convert)));
        }
        let [pass, native] = [passes, natives].map(median);
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        println!(
            "| {name} | {:.1} | {:.1} | {:.2} |",
            us(pass),
            us(native),
            us(pass) / us(native)
        );
    }
}

fn turn<T>(call: impl Fn() -> T) -> Duration {
    let begun = Instant::now();
    for _ in 0..CALLS {
        black_box(call());
    }
    begun.elapsed() / CALLS
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
