//! The account itself: where it is, and leaving it.

use http::Method;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{
    API_VERSION, Caller, Client, Error, Pool, Region,
    transport::{Call, Reply},
};
use crate::model::AccountKey;

/// What HubSpot says of an account (HubSpot: account information API).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The account.
    pub account: AccountKey,
    /// HubSpot's word for its kind: `STANDARD`, `SANDBOX`, …
    pub account_type: Option<String>,
    /// The name of its time zone, in which its request day starts at midnight.
    pub time_zone: Option<String>,
    /// The currency of amounts without one of their own.
    pub currency: Option<String>,
    /// The host of its pages, such as `app-eu1.hubspot.com`.
    pub ui_domain: Option<String>,
    /// Where its data is hosted.
    pub region: Option<Region>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DetailsWire {
    portal_id: u64,
    account_type: Option<String>,
    time_zone: Option<String>,
    company_currency: Option<String>,
    ui_domain: Option<String>,
    data_hosting_location: Option<String>,
}

impl Client {
    /// Asks what the account is, and from then on counts its request day in its
    /// own time zone.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn account_details(&self, caller: &Caller) -> Result<Details, Error> {
        let name = "account details";
        let call = Call {
            name,
            method: Method::GET,
            path: format!("/account-info/{API_VERSION}/details"),
            json: None,
            pool: Pool::General,
            may_miss_all: false,
        };
        let reply = self.call(caller, &call).await?;
        let wire: DetailsWire = reply.decode(name)?;
        let details = Details {
            account: wire.portal_id.to_string().into(),
            account_type: wire.account_type,
            time_zone: wire.time_zone,
            currency: wire.company_currency,
            ui_domain: wire.ui_domain,
            region: wire
                .data_hosting_location
                .and_then(|name| name.parse().ok()),
        };
        if let Some(name) = &details.time_zone {
            self.know_time_zone(&caller.account, name);
        }
        Ok(details)
    }

    /// Counts an account's request day in its own time zone from now on; a name
    /// that is not known changes nothing.
    pub fn know_time_zone(&self, account: &AccountKey, name: &str) {
        if let Ok(zone) = TimeZone::get(name) {
            self.budgets().of(account).set_zone(zone);
        }
    }

    /// Uninstalls our app from the account; HubSpot mails its admins.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn uninstall(&self, caller: &Caller) -> Result<(), Error> {
        let call = Call {
            name: "uninstall",
            method: Method::DELETE,
            path: format!("/appinstalls/{API_VERSION}/external-install"),
            json: None,
            pool: Pool::General,
            may_miss_all: false,
        };
        self.call(caller, &call).await.map(drop)
    }
}

impl Reply {
    /// The body as what the call promises.
    pub(super) fn decode<'a, T: Deserialize<'a>>(&'a self, call: &'static str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| undecodable(call, &error))
    }
}

/// What serde says repeats values; its place in the body is told alone.
pub(super) fn undecodable(call: &'static str, error: &serde_json::Error) -> Error {
    let reason = format!(
        "{:?} error at line {} column {}",
        error.classify(),
        error.line(),
        error.column()
    );
    Error::Undecodable { call, reason }
}
