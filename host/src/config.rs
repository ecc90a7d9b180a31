//! Settings: flags and environment variables, a flag first. No file.

use std::{net::SocketAddr, path::PathBuf};

use url::Url;

use crate::{
    hubspot::{ApiUrl, oauth},
    secrets::Secret,
    telemetry::LogFormat,
};

/// Where the host listens, what it is called, and where it keeps its data.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Where the host listens; port 0 takes a free one.
    #[arg(long, env = "JIMO_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The address that HubSpot and browsers use: webhook target, OAuth
    /// redirect, signature check. The listening address when not set.
    #[arg(long, env = "JIMO_PUBLIC_URL")]
    pub public_url: Option<Url>,

    #[command(flatten)]
    /// The data directory and its key.
    pub data: DataConfig,

    #[command(flatten)]
    /// HubSpot.
    pub hubspot: HubspotConfig,

    /// What is logged: `info`, `jimo_connect::sync=debug,info`, ….
    #[arg(long, env = "JIMO_LOG", default_value = "info")]
    pub log: String,

    /// How logs are written to standard error.
    #[arg(long, env = "JIMO_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// The data directory and the key to what is sealed in it.
#[derive(Clone, Debug, clap::Args)]
pub struct DataConfig {
    /// Where the SQLite files and plugin versions are kept.
    #[arg(long = "data-dir", env = "JIMO_DATA_DIR", default_value = "./data")]
    pub directory: PathBuf,

    /// 32 bytes in base64, from which the keys for tokens, sessions and the
    /// match index are derived. Made on first start, and kept in the data
    /// directory with mode 0600, when not set.
    #[arg(long, env = "JIMO_SECRET_KEY", hide_env_values = true)]
    pub secret_key: Option<Secret>,
}

/// The HubSpot app, and where HubSpot is.
#[derive(Clone, Debug, clap::Args)]
pub struct HubspotConfig {
    /// The app's client id.
    #[arg(
        long = "hubspot-client-id",
        env = "HUBSPOT_CLIENT_ID",
        requires = "client_secret"
    )]
    pub client_id: Option<String>,

    /// The app's client secret, which also signs webhooks.
    #[arg(
        long = "hubspot-client-secret",
        env = "HUBSPOT_CLIENT_SECRET",
        hide_env_values = true,
        requires = "client_id"
    )]
    pub client_secret: Option<Secret>,

    /// The app's id; deliveries of other apps are refused where it is set.
    #[arg(long = "hubspot-app-id", env = "HUBSPOT_APP_ID")]
    pub app_id: Option<u64>,

    /// The base of all API calls. HubSpot's own, by region, when not set.
    #[arg(long = "hubspot-api-url", env = "HUBSPOT_API_URL")]
    pub api_url: Option<ApiUrl>,

    /// Where the admin's browser is sent to consent.
    #[arg(
        long = "hubspot-authorize-url",
        env = "HUBSPOT_AUTHORIZE_URL",
        default_value = oauth::AUTHORIZE_URL
    )]
    pub authorize_url: Url,
}

impl HubspotConfig {
    /// The app, where one is set.
    pub fn app(&self) -> Option<oauth::App> {
        Some(oauth::App {
            client_id: self.client_id.clone()?,
            client_secret: self.client_secret.clone()?,
            app_id: self.app_id,
        })
    }
}
