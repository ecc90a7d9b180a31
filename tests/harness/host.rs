//! A real host on a free port, before a simulated HubSpot.

use std::{path::Path, sync::Arc};

use hubspot_sim::Simulator;
use jimo_connect::{
    clock::Clock,
    config::{
        AddressConfig, AlertsConfig, Config, ConnectorsConfig, DataConfig, HubspotConfig,
        JournalUse, SyncConfig,
    },
    host::{self, Host},
    intake,
    secrets::Secret,
    telemetry::LogFormat,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::engine::open;

/// A host that runs until it is stopped or dropped.
pub struct RunningHost {
    /// Everything it holds.
    pub host: Arc<Host>,
    stop: CancellationToken,
    running: Option<JoinHandle<Result<(), host::Error>>>,
}

/// The settings of a host on a data directory, with the simulator's app.
pub fn config(sim: &Simulator, directory: &Path) -> Config {
    let app = sim.app();
    Config {
        address: AddressConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            public_url: None,
        },
        data: DataConfig {
            directory: directory.to_path_buf(),
            secret_key: None,
        },
        hubspot: HubspotConfig {
            client_id: Some(app.client_id),
            client_secret: Some(Secret::from(app.client_secret)),
            app_id: Some(app.id),
            api_url: Some(sim.url().parse().unwrap()),
            // By push alone everything arrives once, in an order that tests decide.
            journal: JournalUse::Off,
            authorize_url: sim.authorize_url().parse().unwrap(),
            share: jimo_connect::hubspot::budget::SHARE,
        },
        connectors: ConnectorsConfig {
            secrets: Some(crate::webhook::secrets().parse().unwrap()),
        },
        // Tests say themselves when to look.
        sync: SyncConfig {
            look_every_minutes: 0,
            ..SyncConfig::default()
        },
        // What tests have alerts sent to is on this machine.
        alerts: AlertsConfig {
            to_private_networks: true,
            ..AlertsConfig::default()
        },
        log: "warn".into(),
        log_format: LogFormat::Text,
    }
}

impl RunningHost {
    /// Starts a host; the simulator's webhooks go there from now on.
    pub async fn start(sim: &Simulator, config: Config, clock: Clock) -> Self {
        let listener = TcpListener::bind(config.address.listen).await.unwrap();
        let url = host::listening_url(&listener).unwrap();
        let host = Arc::new(open(config, url, clock).await.unwrap());
        sim.set_webhook_target(host.url(intake::PATH).as_str());
        let stop = CancellationToken::new();
        let running = tokio::spawn(host::run(host.clone(), listener, stop.clone()));
        Self {
            host,
            stop,
            running: Some(running),
        }
    }

    /// Stops the host, and waits until work under way is done.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap().unwrap();
        }
    }
}

impl Drop for RunningHost {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
