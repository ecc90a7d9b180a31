//! What the suites share.

pub mod components;
