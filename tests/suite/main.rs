//! The suite.

mod hubspot_client;
mod plugin;
