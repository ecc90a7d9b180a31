//! One host: everything it holds, opened in order, and run until it is told to
//! stop.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    clock::Clock,
    config::Config,
    disk::Disk,
    hubspot::{self, oauth},
    lock::DirectoryLock,
    log::{self, EventLog},
    members::Members,
    pipeline::Pipeline,
    plugin::{self, EMBEDDED, Engine, Plugins},
    secrets::{self, Keys, Secret},
    sources::{Senders, push},
    store::{self, Store},
    sync::{
        self,
        answered::Answered,
        definitions::Definitions,
        grants::Grants,
        journal::Journal,
        turns::Turns,
        versions::{Installing, library},
    },
    tasks::{self, Errands, Tasks},
    telemetry::Metrics,
    web,
};

/// Connections that wait to be accepted, as far as the system lets: where they
/// come faster than they are, more would be reset.
const BACKLOG: u32 = 4_096;

/// How long work under way may take to end when the host stops.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Why a host could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The event log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The secret key.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
    /// The plugin engine.
    #[error(transparent)]
    Engine(#[from] plugin::Error),
    /// The plugin.
    #[error("the plugin cannot be used: {0}")]
    Plugin(#[from] plugin::InstallError),
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] hubspot::SetupError),
    /// The secrets of sources that only push; nothing of them is told.
    #[error("JIMO_CONNECTOR_SECRETS, or --connector-secrets, cannot be read: {0}")]
    ConnectorSecrets(&'static str),
    /// The listening address.
    #[error("cannot listen on {address}: {source}; --listen or JIMO_LISTEN names another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// A task ended unasked.
    #[error(transparent)]
    Task(#[from] tasks::Ended),
    /// The address makes no URL.
    #[error("the listening address makes no URL: set JIMO_PUBLIC_URL")]
    PublicUrl,
}

/// Everything that intake, sync and the web share.
pub struct Host {
    /// The settings.
    pub config: Config,
    /// The address that HubSpot and browsers use.
    pub public_url: Url,
    /// The event log.
    pub log: Arc<EventLog>,
    /// The disk that both are on.
    pub disk: Disk,
    /// The user store.
    pub store: Arc<Store>,
    /// The keys to what is sealed.
    pub keys: Arc<Keys>,
    /// The time.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// What compiles and runs plugins.
    pub engine: Engine,
    /// Whose turn it is to install a component.
    pub installing: Installing,
    /// The connectors' plugins.
    pub plugins: Arc<Plugins>,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// HubSpot's client.
    pub hubspot: hubspot::Client,
    /// The HubSpot app, where one is set.
    pub app: Option<oauth::App>,
    /// Who may deliver to this host.
    pub senders: Senders,
    /// The accounts' grants.
    pub grants: Arc<Grants>,
    /// HubSpot's webhooks journal.
    pub journal: Journal,
    /// Who waits for answers of which accounts.
    pub answered: Answered,
    /// Whose answers of HubSpot's are worked on, of what can wait.
    pub turns: Turns,
    /// Who signs in.
    pub members: Members,
    /// The definitions of the accounts' properties that are kept for a while.
    pub definitions: Definitions,
    /// What is done to its end though nobody waits for it any more.
    pub errands: Errands,
}

impl Host {
    /// Opens everything a host needs, with the plugin it was built with.
    pub async fn open(
        engine: &Engine,
        config: Config,
        public_url: Url,
        clock: Clock,
    ) -> Result<Self, Error> {
        Self::open_with(engine, config, public_url, clock, EMBEDDED).await
    }

    /// Opens everything a host needs, with another component built in.
    pub async fn open_with(
        engine: &Engine,
        config: Config,
        public_url: Url,
        clock: Clock,
        component: &[u8],
    ) -> Result<Self, Error> {
        let directory = config.data.directory.clone();
        let store = Arc::new(Store::open(&directory)?);
        let (keys, origin) = Keys::load(config.data.secret_key.as_ref(), &directory)?;
        if origin == secrets::Origin::Made {
            tracing::info!(directory = %directory.display(), "made a secret key; back it up with the data");
        }
        let keys = Arc::new(keys);
        store.bind_keys(&keys).await?;
        let log = Arc::new(EventLog::open(&directory).await?);
        store.bind_log(&log).await?;
        let engine = engine.apart();
        let built_in = (engine.load(component)?, component.len());
        let opening = library::open(&engine, &store, &directory, built_in, clock.now());
        let plugins = Arc::new(opening.await?);
        let metrics = Arc::new(Metrics::new(engine.faults()));
        let problems = store.read(|tx| tx.plugin_problems()).await?.len();
        metrics
            .plugin_fallback
            .set(problems.try_into().unwrap_or(i64::MAX));
        let pipeline = Arc::new(Pipeline::new(
            store.clone(),
            log.clone(),
            plugins.clone(),
            keys.clone(),
            clock.clone(),
            metrics.clone(),
            config.sync.brake_share,
        ));
        let hubspot = hubspot::Client::new(
            hubspot::Config {
                api: config.hubspot.api_url.clone().unwrap_or_default(),
                share: config.hubspot.share,
                ..hubspot::Config::default()
            },
            clock.clone(),
            metrics.hubspot.clone(),
        )?;
        know_time_zones(&store, &hubspot).await?;
        let app = config.hubspot.app();
        let secrets = match &config.connectors.secrets {
            None => push::Secrets::default(),
            Some(secrets) => secrets.expose().parse().map_err(Error::ConnectorSecrets)?,
        };
        let senders = Senders::new(app.clone(), secrets);
        let grants = Arc::new(Grants::new(
            store.clone(),
            keys.clone(),
            hubspot.clone(),
            app.clone(),
        ));
        let journal = Journal::open(&config.hubspot, hubspot.clone(), store.clone()).await?;
        Ok(Self {
            config,
            public_url,
            log,
            disk: Disk::of(&directory),
            store,
            keys,
            clock,
            metrics,
            engine,
            installing: Installing::default(),
            plugins,
            pipeline,
            hubspot,
            app,
            senders,
            grants,
            journal,
            answered: Answered::default(),
            turns: Turns::default(),
            members: Members::default(),
            definitions: Definitions::default(),
            errands: Errands::default(),
        })
    }

    /// The address of a path of this host.
    pub fn url(&self, path: &str) -> Url {
        url_below(&self.public_url, path)
    }

    /// The address of a page of this host for who holds a token.
    pub fn link(&self, path: &str, token: &Secret) -> Url {
        link_below(&self.public_url, path, token)
    }
}

/// Brings log and store of a data directory up to date, where an earlier release made
/// them: to be called by whoever holds the lock, before it opens a host.
pub fn migrate(alone: &DirectoryLock) -> Result<(), Error> {
    Store::migrate(alone)?;
    EventLog::migrate(alone)?;
    Ok(())
}

/// The address of a page of the host at a public address, for who holds a token.
pub fn link_below(public_url: &Url, path: &str, token: &Secret) -> Url {
    let mut url = url_below(public_url, path);
    url.query_pairs_mut().append_pair("token", token.expose());
    url
}

/// The address of a path of the host at a public address.
pub fn url_below(public_url: &Url, path: &str) -> Url {
    let mut url = public_url.clone();
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}{path}"));
    url
}

/// Listens on an address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let listening = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // As what just listened there may have left connections behind.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().map_err(|source| Error::Listen { address, source })
}

/// Tells the client where its accounts' request days begin.
async fn know_time_zones(store: &Store, hubspot: &hubspot::Client) -> Result<(), store::Error> {
    let accounts = store.read(|tx| {
        let ids = tx.connected_accounts()?.into_iter();
        ids.map(|id| tx.account(id)).collect::<Result<Vec<_>, _>>()
    });
    for account in accounts.await? {
        if let Some(name) = &account.time_zone {
            hubspot.know_time_zone(&account.key, name);
        }
    }
    Ok(())
}

/// The address that a listener is reached at when no other is set.
pub fn listening_url(listener: &TcpListener) -> Result<Url, Error> {
    url_of(listener.local_addr().map_err(|_| Error::PublicUrl)?)
}

/// The address of a host that listens there, when no other is set.
pub fn url_of(listen: SocketAddr) -> Result<Url, Error> {
    Url::parse(&format!("http://{listen}")).map_err(|_| Error::PublicUrl)
}

/// Runs a host on a listener until it is told to stop: takes in deliveries,
/// works through the log and the read queue, and serves pages and API. Returns
/// when work under way is done.
///
/// # Errors
///
/// [`Error::Task`] where one of its tasks ended unasked: the host stops then.
pub async fn run(
    host: Arc<Host>,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    run_with(host, listener, web::Extra::default(), stop).await
}

/// [`run`], with pages that the command adds.
///
/// # Errors
///
/// As [`run`].
pub async fn run_with(
    host: Arc<Host>,
    listener: TcpListener,
    extra: web::Extra,
    stop: CancellationToken,
) -> Result<(), Error> {
    // A defect of one task stops the others as whoever runs the host does.
    let stop = stop.child_token();
    let mut tasks = Tasks::new(stop.clone());
    tasks.spawn("the pipeline", {
        let (host, stop) = (host.clone(), stop.clone());
        async move { host.pipeline.run(stop).await }
    });
    for (name, task) in sync::tasks(&host, &stop) {
        tasks.spawn(name, task);
    }
    let mut serving = pin!(web::serve(host.clone(), listener, extra, stop.clone()));
    let mut outcome = tokio::select! {
        () = &mut serving => Ok(()),
        ended = tasks.defect() => {
            stop.cancel();
            serving.await;
            Err(ended)
        }
    };
    stop.cancel();
    let ended = async {
        let ended = tasks.all().await;
        // What a renewal answers must not be lost, whatever an errand waits for.
        tokio::join!(host.errands.all(), host.grants.settled());
        host.grants.settled().await;
        ended
    };
    match tokio::time::timeout(STOP_MAX, ended).await {
        Ok(ended) => outcome = outcome.and(ended),
        Err(_) => {
            host.errands.give_up();
            tracing::warn!("work under way did not end in time; it goes on at the next start");
        }
    }
    Ok(outcome?)
}
