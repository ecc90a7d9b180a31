//! The simulator against HubSpot's documentation, over HTTP, by subject.
#![allow(clippy::unwrap_used)]

mod associations;
mod journal;
mod oauth;
mod objects;
mod webhooks;
mod world;
