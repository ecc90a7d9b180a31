//! Jimo Connect: brings a customer's HubSpot data into their existing Jimo
//! users. `host/README.md` has the map.

#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod disk;
pub mod host;
pub mod hubspot;
pub mod intake;
pub mod lock;
pub mod log;
pub mod members;
pub mod model;
pub mod pipeline;
pub mod plugin;
pub mod secrets;
pub mod sources;
pub mod sqlite;
pub mod store;
pub mod sync;
pub mod tasks;
pub mod telemetry;
pub mod web;
