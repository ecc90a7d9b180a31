//! The simulator against HubSpot's documentation, over HTTP, by subject.
#![allow(clippy::unwrap_used)]

mod associations;
mod choices;
mod control;
mod faults;
mod journal;
mod oauth;
mod objects;
mod scale;
mod search;
mod subscriptions;
mod webhooks;
mod world;
