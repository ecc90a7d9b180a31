//! Settings: flags and environment variables, a flag first. No file.

use std::{net::SocketAddr, path::PathBuf};

use url::Url;

use crate::{
    hubspot::{ApiUrl, budget, oauth},
    secrets::Secret,
    telemetry::LogFormat,
};

/// Where the host listens, what it is called, and where it keeps its data.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    #[command(flatten)]
    /// Where the host is.
    pub address: AddressConfig,

    #[command(flatten)]
    /// The data directory and its key.
    pub data: DataConfig,

    #[command(flatten)]
    /// HubSpot.
    pub hubspot: HubspotConfig,

    #[command(flatten)]
    /// Sources that only push.
    pub connectors: ConnectorsConfig,

    #[command(flatten)]
    /// Syncing.
    pub sync: SyncConfig,

    #[command(flatten)]
    /// What is told of connections.
    pub alerts: AlertsConfig,

    /// What is logged: `info`, `jimo_connect::sync=debug,info`, ….
    #[arg(long, env = "JIMO_LOG", default_value = "info")]
    pub log: String,

    /// How logs are written to standard error.
    #[arg(long, env = "JIMO_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Where the host is, for itself and for others.
#[derive(Clone, Debug, clap::Args)]
pub struct AddressConfig {
    /// Where the host listens; port 0 takes a free one.
    #[arg(long, env = "JIMO_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The address that HubSpot and browsers use: webhook target, OAuth
    /// redirect, signature check. The listening address when not set.
    #[arg(long, env = "JIMO_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<Url>,
}

/// Reads the address that others use. It may have a path, where a proxy hands
/// on what is below that path.
fn public_url(text: &str) -> Result<Url, String> {
    let refused = |reason: &str| {
        format!("{reason}; write it as https://connect.example.com, or leave JIMO_PUBLIC_URL out")
    };
    if text.is_empty() {
        return Err(refused("it is empty"));
    }
    let url = Url::parse(text).map_err(|_| refused("this is no address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("it has to begin with https:// or http://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("nothing may follow its path, no ? and no #"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("no user and no password may stand in it"));
    }
    Ok(url)
}

/// Reads a setting that cannot be empty. One that is comes from a variable that
/// was meant to be set.
fn filled(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty; give it a value, or leave it out".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// [`filled`], for what is secret.
fn filled_secret(text: &str) -> Result<Secret, String> {
    filled(text).map(Secret::from)
}

/// Reads an app's id.
fn app_id(text: &str) -> Result<u64, String> {
    filled(text)?
        .parse()
        .map_err(|_| "an app's id is a number, as HubSpot shows it".to_owned())
}

/// The least share of a request limit: below it what changes in HubSpot would
/// hardly be read any more.
const SHARE_MIN: f64 = 0.05;

/// Reads a share of request limits.
fn share(text: &str) -> Result<f64, String> {
    let share = filled(text)?
        .parse()
        .ok()
        .filter(|share| (SHARE_MIN..=1.0).contains(share));
    share.ok_or_else(|| format!("a share is a number from {SHARE_MIN} to 1, such as 0.8"))
}

/// The data directory and the key to what is sealed in it.
#[derive(Clone, Debug, clap::Args)]
pub struct DataConfig {
    /// Where the SQLite files and the secret key are kept. Made when it is not
    /// there, for its owner alone.
    #[arg(long = "data-dir", env = "JIMO_DATA_DIR", default_value = "./data")]
    pub directory: PathBuf,

    /// 32 bytes in base64, from which the keys for tokens, sessions and the
    /// match index are derived. Made on first start, and kept in the data
    /// directory with mode 0600, when not set.
    #[arg(long, env = "JIMO_SECRET_KEY", hide_env_values = true)]
    pub secret_key: Option<Secret>,
}

/// The sources that only push.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ConnectorsConfig {
    /// The secrets that sign the deliveries of sources other than HubSpot, as
    /// NAME=SECRET with commas between: the name of an installed connector, and
    /// 24 bytes or more in base64. Its source delivers to /webhooks/NAME.
    #[arg(
        long = "connector-secrets",
        env = "JIMO_CONNECTOR_SECRETS",
        hide_env_values = true
    )]
    pub secrets: Option<Secret>,
}

/// How syncs go about it.
#[derive(Clone, Debug, clap::Args)]
pub struct SyncConfig {
    /// The share of a connection's users, from 0 to 1, of whom one sync, or what
    /// comes live within an hour, may clear or move values; and at least a hundred.
    /// What would of more is held, and asks.
    #[arg(long, env = "JIMO_BRAKE_SHARE", default_value_t = BRAKE_SHARE, value_parser = brake_share)]
    pub brake_share: f64,

    /// How often connections look for changes, in minutes, where HubSpot's
    /// journal does not serve them; 0 is never but at night.
    #[arg(long, env = "JIMO_LOOK_EVERY_MINUTES", default_value_t = LOOK_EVERY_MINUTES)]
    pub look_every_minutes: u64,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            brake_share: BRAKE_SHARE,
            look_every_minutes: LOOK_EVERY_MINUTES,
        }
    }
}

/// A search a type, and what it finds: some three hundred calls a day.
const LOOK_EVERY_MINUTES: u64 = 5;

/// A day's ordinary deletions and moves are far below; a lost list is above.
const BRAKE_SHARE: f64 = 0.2;

/// Reads a share of users.
fn brake_share(text: &str) -> Result<f64, String> {
    let share: f64 = filled(text)?
        .parse()
        .map_err(|_| "this is no number".to_owned())?;
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err("a share is from 0 to 1, such as 0.2".to_owned()),
    }
}

/// How alerts are sent.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AlertsConfig {
    /// The server that mails are given to: smtps://USER:PASSWORD@mail.example.com,
    /// or smtp://…?tls=required for STARTTLS. No mails are sent when not set.
    #[arg(
        long,
        env = "JIMO_SMTP_URL",
        value_parser = filled_secret,
        hide_env_values = true,
        requires = "mail_from"
    )]
    pub smtp_url: Option<Secret>,

    /// Whom mails are from, such as `Jimo <jimo@example.com>`.
    #[arg(long, env = "JIMO_MAIL_FROM", value_parser = filled)]
    pub mail_from: Option<String>,

    /// Lets alerts be sent to addresses of private networks and of this machine,
    /// which admins could otherwise reach through this host.
    #[arg(
        long = "alerts-to-private-networks",
        env = "JIMO_ALERTS_TO_PRIVATE_NETWORKS"
    )]
    pub to_private_networks: bool,
}

/// The HubSpot app, and where HubSpot is.
#[derive(Clone, Debug, clap::Args)]
pub struct HubspotConfig {
    /// The app's client id.
    #[arg(
        long = "hubspot-client-id",
        env = "HUBSPOT_CLIENT_ID",
        value_parser = filled,
        requires = "client_secret"
    )]
    pub client_id: Option<String>,

    /// The app's client secret, which also signs webhooks.
    #[arg(
        long = "hubspot-client-secret",
        env = "HUBSPOT_CLIENT_SECRET",
        value_parser = filled_secret,
        hide_env_values = true,
        requires = "client_id"
    )]
    pub client_secret: Option<Secret>,

    /// The app's id; deliveries of other apps are refused where it is set.
    #[arg(long = "hubspot-app-id", env = "HUBSPOT_APP_ID", value_parser = app_id)]
    pub app_id: Option<u64>,

    /// The base of all API calls. HubSpot's own, by region, when not set.
    #[arg(long = "hubspot-api-url", env = "HUBSPOT_API_URL")]
    pub api_url: Option<ApiUrl>,

    /// Whether HubSpot's webhooks journal is read. Of several hosts that share one
    /// app, one alone may: each takes the subscriptions of the others away.
    #[arg(
        long = "hubspot-journal",
        env = "HUBSPOT_JOURNAL",
        value_enum,
        default_value_t
    )]
    pub journal: JournalUse,

    /// Where the admin's browser is sent to consent.
    #[arg(
        long = "hubspot-authorize-url",
        env = "HUBSPOT_AUTHORIZE_URL",
        default_value = oauth::AUTHORIZE_URL
    )]
    pub authorize_url: Url,

    /// The share of each of an account's request limits that is used, from 0.05
    /// to 1; the rest is left to the customer's other integrations.
    #[arg(
        long = "hubspot-share",
        env = "JIMO_HUBSPOT_SHARE",
        default_value_t = budget::SHARE,
        value_parser = share
    )]
    pub share: f64,
}

/// Whether HubSpot's webhooks journal is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum JournalUse {
    /// It is, where an app is set.
    #[default]
    On,
    /// It is not; recent changes are looked for every few minutes instead.
    Off,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_http_or_https_and_ends_with_its_path() {
        for good in [
            "https://connect.example.com",
            "http://127.0.0.1:8080/",
            "https://example.com/connect/",
        ] {
            public_url(good).expect(good);
        }
        for (bad, told) in [
            ("", "empty"),
            ("connect.example.com", "no address"),
            ("connect.example.com:443", "https://"),
            ("ftp://connect.example.com", "https://"),
            ("https://", "no address"),
            ("https://connect.example.com/?a=b", "no ?"),
            ("https://connect.example.com/#a", "no #"),
            ("https://ana:secret@connect.example.com", "password"),
        ] {
            let refusal = public_url(bad).expect_err(bad);
            assert!(refusal.contains(told), "{bad}: {refusal}");
            assert!(refusal.contains("https://connect.example.com"), "{refusal}");
        }
    }

    #[test]
    fn a_share_lies_between_a_twentieth_and_the_whole() {
        for (text, read) in [("0.05", 0.05), ("0.95", 0.95), ("1", 1.0), (" 0.5\n", 0.5)] {
            assert_eq!(share(text), Ok(read));
        }
        for text in [
            "", "0", "0.049", "1.001", "-0.5", "NaN", "inf", "95%", "half",
        ] {
            let refusal = share(text).expect_err(text);
            assert!(
                refusal.contains("0.05") || refusal.contains("empty"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn a_brakes_share_lies_between_none_and_the_whole() {
        for (text, read) in [("0", 0.0), ("0.2", 0.2), ("1", 1.0)] {
            assert_eq!(brake_share(text), Ok(read));
        }
        for text in ["", "-0.1", "1.1", "NaN", "20%"] {
            brake_share(text).expect_err(text);
        }
    }

    #[test]
    fn a_setting_of_the_app_is_never_empty() {
        assert_eq!(filled(" client\n").as_deref(), Ok("client"));
        assert!(filled(" ").is_err() && filled_secret("").is_err());
        assert_eq!(app_id("54321"), Ok(54_321));
        assert!(app_id("").expect_err("empty").contains("empty"));
        assert!(app_id("my app").expect_err("text").contains("number"));
    }
}
