//! The suite.

mod hubspot_client;
mod pages;
mod plugin;
