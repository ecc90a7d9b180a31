//! A host by itself: no project, no HubSpot behind it, any component as its
//! plugin.

use std::{path::Path, sync::Arc};

use jimo_connect::{
    clock::Clock,
    config::{
        AddressConfig, AlertsConfig, Config, ConnectorsConfig, DataConfig, HubspotConfig,
        JournalUse, SyncConfig,
    },
    host::{self, Host},
    hubspot::oauth,
    log::{Cursor, Entry, EntryKind, Lane, Position},
    model::{
        AccountId, AccountKey, FieldId, FieldMapping, MappingId, MatchingRule, ObjectMapping,
        PropertyDefinition, Shown, Status, UserIdentifier, VariableType,
    },
    pipeline::mapping::{self, NewMappings},
    plugin::Version,
    secrets::Secret,
    store::set_aside::SetAside,
    telemetry::LogFormat,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::engine::engine;

/// The client secret of the app, which signs deliveries.
pub const CLIENT_SECRET: &str = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";

/// The app's id.
pub const APP_ID: u64 = 54_321;

/// A running host.
pub struct BareHost {
    /// Everything it holds.
    pub host: Arc<Host>,
    /// Its data directory, removed with it.
    pub directory: TempDir,
    stop: CancellationToken,
    running: Option<JoinHandle<Result<(), host::Error>>>,
}

/// The settings of a host on a data directory, with an app but no HubSpot.
pub fn config(directory: &Path) -> Config {
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
            client_id: Some("client".into()),
            client_secret: Some(Secret::from(CLIENT_SECRET)),
            app_id: Some(APP_ID),
            // Nothing listens there: no test of these calls HubSpot.
            api_url: Some("http://127.0.0.1:9".parse().unwrap()),
            journal: JournalUse::Off,
            authorize_url: oauth::AUTHORIZE_URL.parse().unwrap(),
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

impl BareHost {
    /// Starts a host with a component as its plugin.
    pub async fn start(component: &[u8]) -> Self {
        Self::start_in(TempDir::new().unwrap(), component).await
    }

    /// The same, on a data directory that a host may have had before.
    pub async fn start_in(directory: TempDir, component: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = host::listening_url(&listener).unwrap();
        let (config, clock) = (config(directory.path()), Clock::system());
        let host = Host::open_with(engine(), config, url, clock, component).await;
        let host = Arc::new(host.unwrap());
        let stop = CancellationToken::new();
        let running = tokio::spawn(host::run(host.clone(), listener, stop.clone()));
        Self {
            host,
            directory,
            stop,
            running: Some(running),
        }
    }

    /// The version of its plugin that is active.
    pub fn active(&self) -> Arc<Version> {
        self.host.plugins.active("hubspot").unwrap()
    }

    /// The address that deliveries go to.
    pub fn webhooks(&self) -> String {
        self.host.url("/webhooks/hubspot").to_string()
    }

    /// Sends a delivery as HubSpot does, and returns the status.
    pub async fn deliver(&self, body: impl Into<Vec<u8>>) -> u16 {
        deliver(&self.webhooks(), CLIENT_SECRET, body.into())
            .await
            .unwrap()
            .as_u16()
    }

    /// Appends deliveries to the log, all at once: whose each is, and its body.
    pub async fn append(&self, deliveries: impl Iterator<Item = (i64, String)>) {
        let received_at = self.host.clock.now();
        let entries = deliveries.map(|(account, body)| Entry {
            kind: EntryKind::Delivery,
            connector: "hubspot".into(),
            lane: Lane(account),
            received_at,
            body: body.into(),
        });
        let cursor = Cursor {
            name: "a test".into(),
            place: String::new(),
        };
        let appended = self.host.log.append_all(entries.collect(), cursor);
        appended.await.unwrap();
    }

    /// Waits until the pipeline has done all that is in the log.
    pub async fn applied(&self) {
        let tail: Position = *self.host.log.tail().borrow();
        self.host
            .pipeline
            .applied()
            .wait_for(|place| *place >= tail)
            .await
            .unwrap();
    }

    /// Stops the host, and waits until it has.
    pub async fn stop(mut self) -> TempDir {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap().unwrap();
        }
        self.directory
    }
}

/// Sends a signed delivery, and returns the status.
pub async fn deliver(
    url: &str,
    secret: &str,
    body: Vec<u8>,
) -> reqwest::Result<reqwest::StatusCode> {
    Ok(send(url, secret, body).await?.status())
}

/// Sends a signed delivery.
pub async fn send(url: &str, secret: &str, body: Vec<u8>) -> reqwest::Result<reqwest::Response> {
    let now = Clock::system().now().0;
    let signature = hubspot_sim::sign_v3(secret, "POST", url, &body, now);
    client()
        .post(url)
        .header("X-HubSpot-Signature-v3", signature)
        .header("X-HubSpot-Request-Timestamp", now)
        .header("Content-Type", "application/json")
        .body(body)
        .send()
        .await
}

/// A client for plain HTTP.
pub fn client() -> reqwest::Client {
    // The second time it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

impl BareHost {
    /// Makes a project with an active connection to an account, which matches
    /// contacts by e-mail and maps one text property. Returns the account.
    pub async fn connect(&self, account: &str, property: &str) -> AccountId {
        let plugin = self.active();
        let text = |name: &str| PropertyDefinition {
            name: name.into(),
            property_type: "string".into(),
            field_type: "text".into(),
        };
        let rule = MatchingRule {
            property: text("email"),
            identifier: UserIdentifier::Email,
        };
        let needs = plugin
            .needs(&"contacts".into(), Some(&rule), None)
            .unwrap()
            .unwrap();
        let property = text(property);
        let (keys, now, account) = (
            self.host.keys.clone(),
            self.host.clock.now(),
            AccountKey::from(account),
        );
        let id = self
            .host
            .store
            .transact(move |tx| {
                let project = tx.create_project("A project", "UTC", now)?.id;
                let variable =
                    tx.create_variable(project, "mapped", None, VariableType::Text, now)?;
                let connection = tx.create_connection(project, "hubspot", now)?;
                let id = tx.save_account("hubspot", &account, None, None, None)?;
                tx.set_connection_account(connection, id)?;
                tx.set_connection_status(connection, Status::Active, None)?;
                let field = FieldMapping {
                    id: FieldId(0),
                    property,
                    variable: Some(variable),
                    target: VariableType::Text,
                    show: Shown::InternalValue,
                    saved_at: now,
                };
                let contacts = ObjectMapping {
                    id: MappingId(0),
                    object_type: "contacts".into(),
                    matching: Some(rule),
                    through: None,
                    selection: None,
                    fields: vec![field],
                    matching_properties: needs.matching,
                    selection_properties: needs.selection,
                    bookkeeping_properties: needs.bookkeeping,
                };
                let new = NewMappings {
                    mappings: vec![contacts],
                    options: Vec::new(),
                    options_read_at: now,
                };
                mapping::save(tx, &keys, connection, &new, true, now)?;
                Ok(id)
            })
            .await
            .unwrap();
        self.host.pipeline.notify_changed();
        id
    }

    /// What was set aside, oldest first.
    pub async fn set_aside(&self) -> Vec<SetAside> {
        self.host.store.read(|tx| tx.all_set_aside()).await.unwrap()
    }

    /// How many records of an account wait to be read.
    pub async fn waiting_reads(&self, account: AccountId) -> i64 {
        self.host
            .store
            .read(move |tx| tx.waiting_reads(account))
            .await
            .unwrap()
    }
}
