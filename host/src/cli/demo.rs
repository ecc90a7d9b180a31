//! `demo`: the host on a fresh data directory, with a simulated HubSpot in the
//! same process and sample data. Everything goes the way it goes in earnest:
//! OAuth and webhooks over HTTP, records read and parsed by the plugin.

use std::{
    fs::DirBuilder,
    io::ErrorKind,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use hubspot_sim::{AccountSpec, Simulator};
use tokio::net::TcpListener;

use super::{
    Error,
    sample::{self, MAPPINGS},
    serve::stop_signal,
};
use crate::{
    clock::Clock,
    config::{
        AddressConfig, AlertsConfig, Config, ConnectorsConfig, DataConfig, HubspotConfig,
        JournalUse, SyncConfig,
    },
    host::{self, Host},
    hubspot::{ApiUrl, budget},
    model::{Actor, ConnectionId, ProjectId},
    plugin::{Engine, Limits},
    secrets::Secret,
    store::projects::Role,
    sync::consents::{self, Answer, Step},
    telemetry::{LogFormat, init_logs},
    web::{
        api::{connections, mapping_document::Document, mappings},
        pages::demo,
        session::{Link as SignInLink, make_sign_in_link},
    },
};

/// The simulated account.
const PORTAL: u64 = 48_975_575;

/// Where the host listens when nothing is said and the port is free.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// Run the host with a simulated HubSpot and sample data.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Where the host listens; port 0 takes a free one. 127.0.0.1:8080, or a
    /// free port where that is taken, when not set.
    #[arg(long, env = "JIMO_LISTEN")]
    listen: Option<SocketAddr>,

    /// What is logged, as for `serve`.
    #[arg(long, env = "JIMO_LOG", default_value = "warn")]
    log: String,
}

impl Demo {
    /// Runs until it is told to stop.
    pub async fn run(self) -> Result<(), Error> {
        init_logs(&self.log, LogFormat::Text)?;
        let directory = FreshDirectory::make()?;
        let listener = self.listen().await?;
        let url = host::listening_url(&listener)?;
        let simulator = Simulator::start(hubspot_sim::Config::default()).await?;
        let account =
            simulator.add_account(AccountSpec::new(PORTAL).domain("acme-travel-group.example"));
        let config = self.config(&directory.0, &simulator)?;
        let engine = Engine::new(&Limits::default()).map_err(host::Error::from)?;
        let host = Arc::new(Host::open(&engine, config, url, Clock::system()).await?);
        let stop = stop_signal()?;
        let extra = demo::extra(account.clone());
        let running = tokio::spawn(host::run_with(host.clone(), listener, extra, stop.clone()));
        let project = sample::make_project(&host).await?;
        connect(&host, &simulator, project).await?;
        sample::make_records(&host, &simulator, &account).await?;
        let link = make_sign_in_link(
            &host.store,
            &host.public_url,
            (project, Role::Operator),
            SignInLink::Again,
            host.clock.now(),
        )
        .await?;
        println!("listening on {link}");
        eprintln!(
            "its data goes when it ends; until then all other commands work beside it, with \
             --data-dir {}",
            directory.0.display()
        );
        match running.await {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(Error::Demo("the host ended abruptly".into())),
        }
    }

    async fn listen(&self) -> Result<TcpListener, host::Error> {
        match self.listen {
            Some(listen) => host::listen(listen).await,
            None => match host::listen(LISTEN).await {
                Err(host::Error::Listen { source, .. })
                    if source.kind() == ErrorKind::AddrInUse =>
                {
                    host::listen(SocketAddr::new(LISTEN.ip(), 0)).await
                }
                bound => bound,
            },
        }
    }

    fn config(&self, directory: &Path, simulator: &Simulator) -> Result<Config, Error> {
        let app = simulator.app();
        let failed = |what: &str| Error::Demo(format!("the simulated HubSpot has no good {what}"));
        let api_url: ApiUrl = simulator.url().parse().map_err(|_| failed("address"))?;
        let authorize_url = simulator
            .authorize_url()
            .parse()
            .map_err(|_| failed("consent address"))?;
        Ok(Config {
            address: AddressConfig {
                listen: LISTEN,
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
                api_url: Some(api_url),
                journal: JournalUse::On,
                authorize_url,
                share: budget::SHARE,
            },
            connectors: ConnectorsConfig::default(),
            sync: SyncConfig::default(),
            // What one tries alerts with is on this machine.
            alerts: AlertsConfig {
                to_private_networks: true,
                ..AlertsConfig::default()
            },
            log: self.log.clone(),
            log_format: LogFormat::Text,
        })
    }
}

/// A directory that is removed at the end.
struct FreshDirectory(PathBuf);

impl FreshDirectory {
    fn make() -> std::io::Result<Self> {
        let name = format!("jimo-connect-demo-{}", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for FreshDirectory {
    fn drop(&mut self) {
        // It is in the system's temporary directory, which is cleared anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Connects the simulated account as an admin would, and maps its fields.
async fn connect(
    host: &Arc<Host>,
    simulator: &Simulator,
    project: ProjectId,
) -> Result<ConnectionId, Error> {
    simulator.set_app(|app| app.auto_approve = Some(PORTAL));
    simulator.set_webhook_target(host.url(crate::intake::PATH).as_str());
    simulator.subscribe_defaults();
    for (object_type, property) in [
        ("contact", "lifecyclestage"),
        ("contact", "jobtitle"),
        ("contact", "city"),
        ("company", "industry"),
        ("company", "numberofemployees"),
    ] {
        let event = format!("{object_type}.propertyChange");
        // One that is there already is the same.
        let _ = simulator.subscribe(&event, Some(property));
    }
    let failed = |error: &dyn std::fmt::Display| Error::Demo(error.to_string());
    let (id, authorize_url) = connections::begin(host, project, "hubspot", None)
        .await
        .map_err(|error| failed(&error))?;
    let answer = consent(authorize_url).await?;
    let step = consents::answered(host, answer, None)
        .await
        .map_err(|error| failed(&error))?;
    if let Step::Confirm { token, .. } = step {
        consents::confirm(host, &token, None, None)
            .await
            .map_err(|error| failed(&error))?;
    }
    let document: Document = serde_json::from_str(MAPPINGS).map_err(|error| failed(&error))?;
    mappings::save(host, project, id, document, true, None, &Actor::Operator)
        .await
        .map_err(|error| Error::Demo(error.detail()))?;
    Ok(id)
}

/// Goes where the admin's browser would go, up to the way back.
async fn consent(authorize_url: url::Url) -> Result<Answer, Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let failed = |error: reqwest::Error| Error::Demo(error.to_string());
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(failed)?;
    let response = client.get(authorize_url).send().await.map_err(failed)?;
    let back = response
        .headers()
        .get(http::header::LOCATION)
        .and_then(|location| url::Url::parse(location.to_str().ok()?).ok())
        .ok_or_else(|| Error::Demo("the simulated consent leads nowhere".into()))?;
    let mut answer = Answer::default();
    for (name, value) in back.query_pairs() {
        match &*name {
            "state" => answer.state = Some(value.into_owned()),
            "code" => answer.code = Some(value.into_owned()),
            "error" => answer.error = Some(value.into_owned()),
            _ => {}
        }
    }
    Ok(answer)
}
