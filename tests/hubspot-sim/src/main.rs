//! The simulator as a program of its own, for tests in other languages and for trying things out.

use std::net::SocketAddr;

use clap::Parser;
use hubspot_sim::{AccountSpec, Clock, Config, Limits, Simulator};

/// A HubSpot that behaves like the real one, over real HTTP.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What ids, disorder and faults are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Start a clock of its own at this many milliseconds since 1970, to be turned over the API.
    #[arg(long)]
    clock_ms: Option<i64>,
    /// The OAuth client id of the app.
    #[arg(long)]
    client_id: Option<String>,
    /// The OAuth client secret of the app, which also signs webhooks.
    #[arg(long)]
    client_secret: Option<String>,
    /// The id of the app.
    #[arg(long)]
    app_id: Option<u64>,
    /// Where webhooks go.
    #[arg(long)]
    webhook_target: Option<String>,
    /// An account to make; may be given several times.
    #[arg(long = "account")]
    accounts: Vec<u64>,
    /// The account that the consent page grants at once.
    #[arg(long)]
    auto_approve: Option<u64>,
    /// Set no rate limits.
    #[arg(long)]
    unlimited: bool,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let mut config = Config {
        seed: arguments.seed,
        clock: arguments.clock_ms.map_or_else(Clock::real, Clock::manual),
        listen: arguments.listen,
        webhook_target: arguments.webhook_target,
        ..Config::default()
    };
    if let Some(id) = arguments.client_id {
        config.app.client_id = id;
    }
    if let Some(secret) = arguments.client_secret {
        config.app.client_secret = secret;
    }
    if let Some(id) = arguments.app_id {
        config.app.id = id;
    }
    config.app.auto_approve = arguments.auto_approve;
    if arguments.unlimited {
        config.limits = Limits::unlimited();
    }
    let simulator = Simulator::start(config).await?;
    for portal in arguments.accounts {
        let _ = simulator.add_account(AccountSpec::new(portal));
    }
    println!("listening on {}", simulator.url());
    tokio::signal::ctrl_c().await
}
