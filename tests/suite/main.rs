//! The suite.

mod hubspot_client;
