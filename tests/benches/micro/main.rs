//! What single functions take, and what the sandbox costs: a pass beside the
//! plugin's own code, compiled for this machine.
//!
//! `cargo bench --package jimo-connect-tests --bench micro`, and a part of a
//! name to measure less.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on fails by panicking"
)]

mod cases;
mod contract;
mod input;
mod ratio;
mod versions;

use std::sync::LazyLock;

/// The plugin's own sources, against the contract's types as a host has them.
/// As a dependency it would draw other features of other crates into the build
/// (`tests/run`).
macro_rules! plugin {
    ($($module:ident $path:literal)*) => {$(
        #[path = $path]
        #[allow(dead_code, unused_imports, reason = "a part of the plugin is measured")]
        mod $module;
    )*};
}

plugin! {
    event "../../../plugin/src/event.rs"
    hubspot "../../../plugin/src/hubspot.rs"
    json "../../../plugin/src/json.rs"
    moment "../../../plugin/src/moment.rs"
    page "../../../plugin/src/page.rs"
    parse "../../../plugin/src/parse.rs"
    transform "../../../plugin/src/transform.rs"
    value "../../../plugin/src/value.rs"
}

fn main() {
    // While nothing else is loaded.
    if std::env::args().any(|argument| argument == "versions") {
        return versions::print();
    }
    // Compiled before anything is measured.
    LazyLock::force(&input::PLUGIN);
    divan::main();
    ratio::print();
}
