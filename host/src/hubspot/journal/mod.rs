//! The webhooks journal: a log of the app's that is pulled, file by file, and
//! what is written to it (HubSpot: webhooks journal guide, of its dated version).
//!
//! It is the app's, not an account's: it is called with a token of the app
//! itself, and exempt from all accounts' request limits (HubSpot's specification
//! marks each of its calls so). Files keep for three days.

mod lifecycle;
mod subscription;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;

pub use lifecycle::uninstalled_at;
pub use subscription::{Kind, Slot, Subscription, Wanted};

use super::{
    API_VERSION, Client, Error,
    account::undecodable,
    transport::{AppCall, Raw},
};
use crate::{model::ObjectType, secrets::Secret};

/// What the app's token needs to read the journal and to keep its
/// subscriptions. No account grants them, and no file of the app lists them.
pub const SCOPES: [&str; 3] = [
    "developer.webhooks_journal.read",
    "developer.webhooks_journal.subscriptions.read",
    "developer.webhooks_journal.subscriptions.write",
];

/// HubSpot's id of an object type, which the journal names it by.
pub fn type_id(object_type: &ObjectType) -> Option<&'static str> {
    match object_type.as_str() {
        CONTACTS => Some("0-1"),
        "companies" => Some("0-2"),
        "deals" => Some("0-3"),
        _ => None,
    }
}

/// The one object type whose records are deleted for privacy.
pub const CONTACTS: &str = "contacts";

/// Where a file of the journal is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its address, which needs no token and soon ends.
    pub url: String,
    /// Its place in the journal: what comes next is asked for with it.
    pub current_offset: String,
}

#[derive(Deserialize)]
struct Listed {
    results: Vec<subscription::Wire>,
}

impl Client {
    /// The file that comes after a place in the journal, or the oldest that is
    /// kept; none where there is none yet.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::NotFound`] where the place is no longer kept.
    pub async fn journal_next(
        &self,
        token: &Secret,
        after: Option<&str>,
    ) -> Result<Option<Entry>, Error> {
        let name = "journal";
        let place = match after {
            None => "earliest".to_owned(),
            Some(offset) => format!("offset/{}/next", segment(offset)),
        };
        let raw = self
            .call_as_app(
                token,
                &AppCall {
                    name,
                    method: Method::GET,
                    path: format!("/webhooks-journal/journal/{API_VERSION}/{place}"),
                    json: None,
                },
            )
            .await?;
        if raw.status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        decode(name, &raw).map(Some)
    }

    /// The bytes of a file of the journal. Its address is another server's, which
    /// gets no token of ours. Not repeated: whoever calls asks for a fresh address.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn journal_file(&self, entry: &Entry) -> Result<Bytes, Error> {
        let request = self.request_elsewhere(&entry.url)?;
        Ok(self.ask("journal file", request).await?.body)
    }

    /// All subscriptions of the app that are of a kind we know.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn journal_subscriptions(&self, token: &Secret) -> Result<Vec<Subscription>, Error> {
        let name = "journal subscriptions";
        let call = AppCall {
            name,
            method: Method::GET,
            path: subscriptions(),
            json: None,
        };
        let raw = self.call_as_app(token, &call).await?;
        let listed: Listed = decode(name, &raw)?;
        Ok(listed
            .results
            .into_iter()
            .filter_map(subscription::Wire::read)
            .collect())
    }

    /// Makes a subscription, or changes the one of the same account and object
    /// type. Returns its id.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::MissingScopes`] where the app may not read the
    /// account's records of that type.
    pub async fn journal_subscribe(&self, token: &Secret, wanted: &Wanted) -> Result<u64, Error> {
        let name = "journal subscribe";
        let call = AppCall {
            name,
            method: Method::POST,
            path: subscriptions(),
            json: Some(wanted.request()?),
        };
        let raw = self.call_as_app(token, &call).await?;
        let made: subscription::Made = decode(name, &raw)?;
        Ok(made.id)
    }

    /// Ends a subscription; one that is gone is no error.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn journal_unsubscribe(&self, token: &Secret, id: u64) -> Result<(), Error> {
        let call = AppCall {
            name: "journal unsubscribe",
            method: Method::DELETE,
            path: format!("{}/{id}", subscriptions()),
            json: None,
        };
        match self.call_as_app(token, &call).await {
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn subscriptions() -> String {
    format!("/webhooks-journal/subscriptions/{API_VERSION}")
}

/// A text as one segment of a path.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

fn decode<'a, T: Deserialize<'a>>(call: &'static str, raw: &'a Raw) -> Result<T, Error> {
    serde_json::from_slice(&raw.body).map_err(|error| undecodable(call, &error))
}
