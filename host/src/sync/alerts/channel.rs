//! Where alerts go: an address that an admin named, sealed as it is kept.

use lettre::Address;
use serde::{Deserialize, Serialize};
use url::Url;

use super::address::{Allowed, Refused};
use crate::{
    host::Host,
    model::{AlertChannelId, ConnectionId, Timestamp},
    secrets::{self, Keys, Secret, random_token},
    store::{
        self, Tx,
        alerts::{Channel, ChannelKind},
    },
};

/// Channels of one connection, at most.
pub const CHANNELS_MAX: usize = 10;

/// What secrets that sign webhooks begin with, so that they are known when they
/// are found somewhere.
const SECRET_PREFIX: &str = "whsec_";

/// The most characters of an address.
const ADDRESS_LENGTH_MAX: usize = 2_000;

/// Where a channel's messages go, with all that is secret of it.
#[derive(Clone, Debug)]
pub enum Target {
    /// A request to this address, signed with the secret.
    Webhook {
        /// The address.
        url: Url,
        /// The secret.
        secret: Secret,
    },
    /// A mail to this address.
    Email(Address),
    /// A request to Slack's incoming webhook.
    Slack(Url),
}

/// Why a channel cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// Its address may not be called.
    #[error(transparent)]
    Address(#[from] Refused),
    /// Its mail address is none.
    #[error("This is no e-mail address: write it as name@example.com.")]
    Mail,
    /// No mails are sent from here.
    #[error(
        "This host sends no mails: its operator sets JIMO_SMTP_URL and JIMO_MAIL_FROM, or choose a \
         webhook or Slack."
    )]
    NoMail,
}

/// A target, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    address: String,
    secret: Option<String>,
}

/// What may be called from a host.
pub fn allowed(host: &Host) -> Allowed {
    let is_loopback = match host.public_url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    Allowed {
        plain: is_loopback,
        private: host.config.alerts.to_private_networks,
    }
}

impl Target {
    /// Reads a target of a kind; makes the secret of a webhook.
    ///
    /// # Errors
    ///
    /// [`Invalid`].
    pub fn read(host: &Host, kind: ChannelKind, address: &str) -> Result<Self, Invalid> {
        if address.len() > ADDRESS_LENGTH_MAX {
            return Err(Refused::Malformed.into());
        }
        match kind {
            ChannelKind::Webhook => Ok(Self::Webhook {
                url: allowed(host).read(address)?,
                secret: format!("{SECRET_PREFIX}{}", random_token().expose()).into(),
            }),
            ChannelKind::Slack => Ok(Self::Slack(allowed(host).read_slack(address)?)),
            ChannelKind::Email if host.config.alerts.smtp_url.is_none() => Err(Invalid::NoMail),
            ChannelKind::Email => {
                let address = address.trim().parse().map_err(|_| Invalid::Mail)?;
                Ok(Self::Email(address))
            }
        }
    }

    /// What it is sent by.
    pub fn kind(&self) -> ChannelKind {
        match self {
            Self::Webhook { .. } => ChannelKind::Webhook,
            Self::Email(_) => ChannelKind::Email,
            Self::Slack(_) => ChannelKind::Slack,
        }
    }

    /// What may be read of it: of an address that is called, its host, for there
    /// may be a secret in its path.
    pub fn shown(&self) -> String {
        match self {
            Self::Webhook { url, .. } | Self::Slack(url) => {
                let port = url
                    .port()
                    .map(|port| format!(":{port}"))
                    .unwrap_or_default();
                let host = url.host_str().unwrap_or_default();
                format!("{}://{host}{port}/…", url.scheme())
            }
            Self::Email(address) => address.to_string(),
        }
    }

    fn seal(&self, keys: &Keys, id: AlertChannelId) -> Vec<u8> {
        let sealed = match self {
            Self::Webhook { url, secret } => Sealed {
                address: url.to_string(),
                secret: Some(secret.expose().to_owned()),
            },
            Self::Email(address) => Sealed {
                address: address.to_string(),
                secret: None,
            },
            Self::Slack(url) => Sealed {
                address: url.to_string(),
                secret: None,
            },
        };
        let text = serde_json::json!(sealed).to_string();
        keys.seal(&context(id), text.as_bytes())
    }

    /// The target of a channel.
    ///
    /// # Errors
    ///
    /// [`secrets::Error::Unopenable`].
    pub fn open(keys: &Keys, channel: &Channel) -> Result<Self, secrets::Error> {
        let unopenable = || secrets::Error::Unopenable;
        let text = keys.open_text(&context(channel.id), &channel.sealed)?;
        let Sealed { address, secret } =
            serde_json::from_str(text.expose()).map_err(|_| unopenable())?;
        Ok(match channel.kind {
            ChannelKind::Webhook => Self::Webhook {
                url: address.parse().map_err(|_| unopenable())?,
                secret: secret.ok_or_else(unopenable)?.into(),
            },
            ChannelKind::Email => Self::Email(address.parse().map_err(|_| unopenable())?),
            ChannelKind::Slack => Self::Slack(address.parse().map_err(|_| unopenable())?),
        })
    }
}

/// Adds a channel to a connection.
///
/// # Errors
///
/// [`store::Error::Conflict`] where there are as many as there may be.
pub fn add(
    tx: &Tx<'_>,
    keys: &Keys,
    connection: ConnectionId,
    target: &Target,
    now: Timestamp,
) -> Result<AlertChannelId, store::Error> {
    if tx.channels(connection)?.len() >= CHANNELS_MAX {
        return Err(store::Error::Conflict(format!(
            "alerts go to at most {CHANNELS_MAX} places: remove one first"
        )));
    }
    let seal = |id| target.seal(keys, id);
    tx.add_channel(connection, target.kind(), &target.shown(), seal, now)
}

fn context(id: AlertChannelId) -> String {
    format!("alert-channel/{id}")
}
