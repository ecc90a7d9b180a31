//! The one way from what the source says to what users show: parse, match,
//! transform, apply.
//!
//! A webhook, a journal file, a read and an arrival differ only in where their
//! records come from. Everything that waits or fails is before the pipeline
//! (the log, the read queue, the client) or after it (the store).
//!
//! Architecture invariants:
//! - [`merge`], [`select`] and [`plan`] decide, and do no I/O.
//! - What was prepared under one configuration is applied under the same one,
//!   or prepared again: deleting a connection ends it at once.
//! - No user is ever made here, and no variable that is not mapped is written.

mod apply;
pub mod arrivals;
pub mod associations;
mod batch;
pub mod brake;
pub mod conversion;
pub mod erasures;
pub mod feeding;
pub mod mapping;
pub mod mapping_changes;
mod merge;
pub mod pages;
mod plan;
pub mod prepare;
pub mod redact;
pub mod replay;
pub mod report;
pub mod routing;
pub mod select;
mod trouble;
mod turns;
pub mod worker;

pub use worker::Pipeline;
