//! What every engine of log and store must do; each case once an engine.

mod activity;
mod choices;
mod erased;
mod log;
mod purging;
mod reads;
mod runs;
mod settling;
mod shadows;
mod store;
