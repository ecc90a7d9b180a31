//! The one engine of a process of tests, for all hosts that it runs.

use std::sync::LazyLock;

use jimo_connect::{
    clock::Clock,
    config::Config,
    host::{self, Host},
    plugin::{EMBEDDED, Engine, Limits, Version},
};
use reqwest::Url;

/// With the component that nearly every host is built with, so that it is compiled once.
static ENGINE: LazyLock<(Engine, Version)> = LazyLock::new(|| {
    let engine = Engine::new(&Limits::default()).unwrap();
    let embedded = engine.load(EMBEDDED).unwrap();
    (engine, embedded)
});

/// The engine.
pub fn engine() -> &'static Engine {
    &ENGINE.0
}

/// Opens everything a host needs, with the plugin it was built with.
pub async fn open(config: Config, public_url: Url, clock: Clock) -> Result<Host, host::Error> {
    Host::open(engine(), config, public_url, clock).await
}
