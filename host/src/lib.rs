//! Jimo Connect: brings a customer's HubSpot data into their existing Jimo
//! users. `host/README.md` has the map.

#![forbid(unsafe_code)]

pub mod clock;
pub mod hubspot;
pub mod log;
pub mod model;
pub mod pipeline;
pub mod plugin;
pub mod secrets;
pub mod sqlite;
pub mod store;
pub mod telemetry;
