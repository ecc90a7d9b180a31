//! Owners: the people that records are assigned to (HubSpot: owners guide).

use std::collections::HashSet;

use http::Method;
use serde::Deserialize;

use super::{API_VERSION, Caller, Client, Error, Pool, page::PagingWire, transport::Call};

/// The scope that reading owners takes.
pub const OWNERS_SCOPE: &str = "crm.objects.owners.read";

/// The most owners of one page.
const PAGE_MAX: usize = 500;

/// An owner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The internal value of properties that name an owner.
    pub id: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    first_name: Option<String>,
    #[serde(default)]
    last_name: Option<String>,
}

impl Owner {
    /// What people read: the name, else the e-mail address; none where HubSpot
    /// tells neither.
    pub fn label(&self) -> Option<String> {
        let filled = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default().trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let names = [filled(&self.first_name), filled(&self.last_name)];
        let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
        filled(&Some(name)).or_else(|| filled(&self.email))
    }
}

#[derive(Deserialize)]
struct PageWire {
    results: Vec<Owner>,
    paging: Option<PagingWire>,
}

impl Client {
    /// All owners of the account, five hundred a call: first those of today,
    /// then those who left, whom records still name.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::MissingScopes`] where the admin did not grant
    /// [`OWNERS_SCOPE`].
    pub async fn owners(&self, caller: &Caller) -> Result<Vec<Owner>, Error> {
        let mut owners = Vec::new();
        for archived in [false, true] {
            let mut pages = HashSet::new();
            let mut after = None;
            loop {
                let page = self.owners_page(caller, archived, after.as_deref()).await?;
                owners.extend(page.results);
                after = page.paging.and_then(PagingWire::after);
                match &after {
                    None => break,
                    Some(next) if pages.insert(next.clone()) => {}
                    Some(_) => {
                        return Err(Error::Undecodable {
                            call: "owners",
                            reason: "its pages have no end".into(),
                        });
                    }
                }
            }
        }
        Ok(owners)
    }

    async fn owners_page(
        &self,
        caller: &Caller,
        archived: bool,
        after: Option<&str>,
    ) -> Result<PageWire, Error> {
        let name = "owners";
        let mut path = format!("/crm/owners/{API_VERSION}?limit={PAGE_MAX}&archived={archived}");
        if let Some(after) = after {
            let after = url::form_urlencoded::byte_serialize(after.as_bytes());
            path.push_str("&after=");
            path.extend(after);
        }
        let call = Call {
            name,
            method: Method::GET,
            path,
            json: None,
            pool: Pool::General,
            may_miss_all: false,
        };
        self.call(caller, &call).await?.decode(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_shown_by_name_else_by_address() {
        for (owner, expected) in [
            (
                r#"{"id": "1", "email": "a@x.example", "firstName": "Ana", "lastName": "Diaz"}"#,
                Some("Ana Diaz"),
            ),
            (
                r#"{"id": "1", "email": "a@x.example", "firstName": "", "lastName": " Diaz "}"#,
                Some("Diaz"),
            ),
            (
                r#"{"id": "1", "email": "a@x.example", "firstName": null, "type": "QUEUE"}"#,
                Some("a@x.example"),
            ),
            (r#"{"id": "1", "email": null}"#, None),
        ] {
            let owner: Owner = serde_json::from_str(owner).expect("an owner");
            assert_eq!(owner.label().as_deref(), expected);
        }
    }
}
