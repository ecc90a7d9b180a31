//! The suite: a module a subject, tests named after behaviour.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails by panicking"
)]

mod access;
mod alerts;
mod arrivals;
mod brake;
mod commands;
mod conformance;
mod connections;
mod convergence;
mod durability;
mod fairness;
mod floods;
mod grants;
mod guide;
mod health;
mod hubspot_client;
mod intake;
mod journal;
mod labels;
mod leaving;
mod live;
mod logs;
mod mapping_refusals;
mod mappings;
mod members;
mod metrics;
mod oauth;
mod overload;
mod pages;
mod plugin;
mod preview;
mod privacy;
mod rematching;
mod second_connector;
mod segments;
mod selection;
mod set_aside;
mod syncs;
mod users;
