//! What the suites share.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on fails by panicking"
)]

pub mod answer;
pub mod bare;
pub mod caller;
pub mod components;
pub mod engine;
pub mod host;
pub mod program;
pub mod receivers;
pub mod seed;
pub mod settled;
pub mod webhook;
pub mod world;
