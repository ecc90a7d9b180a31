//! Jimo Connect: brings a customer's HubSpot data into their existing Jimo
//! users. `host/README.md` has the map.

#![forbid(unsafe_code)]

pub mod model;
pub mod plugin;
