//! The host as a process of its own, which can be killed, with a clock that is
//! turned from outside: each line on standard input is the moment that it shows
//! from then on. It ends with its standard input.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails by panicking"
)]

use std::sync::Arc;

use clap::Parser;
use harness::engine::open;
use jimo_connect::{
    clock::Clock, config::Config, host, lock::DirectoryLock, model::Timestamp, telemetry,
};
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,

    /// The moment that the clock shows at first, in milliseconds since 1970.
    moment: i64,
}

#[tokio::main]
async fn main() {
    let Arguments { config, moment } = Arguments::parse();
    telemetry::init_logs(&config.log, config.log_format).unwrap();
    let alone = DirectoryLock::take(&config.data.directory).unwrap();
    let listener = host::listen(config.address.listen).await.unwrap();
    let url = host::listening_url(&listener).unwrap();
    let public_url = config.address.public_url.clone();
    let public_url = public_url.unwrap_or_else(|| url.clone());
    let clock = Clock::manual(Timestamp(moment));
    host::migrate(&alone).unwrap();
    let host = open(config, public_url, clock.clone()).await;
    let host = Arc::new(host.unwrap());
    let stop = CancellationToken::new();
    std::thread::spawn({
        let (host, stop) = (host.clone(), stop.clone());
        move || {
            for line in std::io::stdin().lines() {
                let moment = Timestamp(line.unwrap().parse().unwrap());
                clock.turn(moment.since(clock.now()));
                // Who sleeps by the machine's clock looks at what is due by this one.
                host.pipeline.notify_changed();
            }
            stop.cancel();
        }
    });
    println!("listening on {}", url.as_str().trim_end_matches('/'));
    host::run(host, listener, stop).await.unwrap();
}
