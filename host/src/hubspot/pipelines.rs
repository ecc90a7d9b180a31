//! Pipelines and their stages (HubSpot: pipelines guide).

use http::Method;
use serde::Deserialize;

use super::{API_VERSION, Caller, Client, Error, Pool, objects::segment, transport::Call};
use crate::model::ObjectType;

/// A pipeline that records of an object type pass through.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Pipeline {
    /// The internal value of the property `pipeline`.
    pub id: String,
    /// What people read.
    pub label: String,
    /// Its stages.
    #[serde(default)]
    pub stages: Vec<Stage>,
}

/// A stage of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Stage {
    /// The internal value of the property `dealstage`; no two stages of an
    /// account have the same.
    pub id: String,
    /// What people read.
    pub label: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    is_closed: serde_json::Value,
}

impl Stage {
    /// Whether a record there is closed; none where HubSpot says nothing of
    /// that. It writes it as a text.
    pub fn closed(&self) -> Option<bool> {
        match &self.metadata.is_closed {
            serde_json::Value::Bool(closed) => Some(*closed),
            serde_json::Value::String(word) => word.parse().ok(),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct PageWire {
    results: Vec<Pipeline>,
}

impl Client {
    /// All pipelines of an object type that are not archived, with their
    /// stages; HubSpot gives them in one page.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn pipelines(
        &self,
        caller: &Caller,
        object_type: &ObjectType,
    ) -> Result<Vec<Pipeline>, Error> {
        let name = "pipelines";
        let call = Call {
            name,
            method: Method::GET,
            path: format!("/crm/pipelines/{API_VERSION}/{}", segment(object_type)?),
            json: None,
            pool: Pool::General,
            may_miss_all: false,
        };
        let page: PageWire = self.call(caller, &call).await?.decode(name)?;
        Ok(page.results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_closed_where_hubspot_says_so_and_unknown_where_it_does_not() {
        let closed = |metadata: &str| {
            let stage = format!(r#"{{"id": "s", "label": "S"{metadata}}}"#);
            serde_json::from_str::<Stage>(&stage).map(|stage| stage.closed())
        };
        for (metadata, expected) in [
            (
                r#", "metadata": {"isClosed": "true", "probability": "1.0"}"#,
                Some(true),
            ),
            (r#", "metadata": {"isClosed": "false"}"#, Some(false)),
            (r#", "metadata": {"isClosed": true}"#, Some(true)),
            (r#", "metadata": {"ticketState": "OPEN"}"#, None),
            (r#", "metadata": {"isClosed": "soon"}"#, None),
            ("", None),
        ] {
            assert_eq!(closed(metadata).expect(metadata), expected, "{metadata}");
        }
    }
}
