//! Records of a source, for people: what one is called, and where its page is.

use std::sync::Arc;

use super::{Surroundings, base};
use crate::{
    host::Host,
    model::{Connection, ConnectionId, ObjectType, RecordId},
    plugin::{Plugins, Version},
    sources, store,
};

/// A connector's name, and what people call it.
pub struct SourceName {
    /// By which it is known.
    pub connector: String,
    /// What people read.
    pub label: String,
}

/// What links to records are made of.
#[derive(Clone)]
pub struct RecordLinks {
    pub(super) base: String,
    simulated_hubspot: Option<&'static str>,
    plugins: Arc<Plugins>,
}

impl RecordLinks {
    /// Links to HubSpot, or to the simulated one.
    pub(super) fn new(host: &Host, surroundings: &Surroundings) -> Self {
        Self {
            base: base(host),
            simulated_hubspot: surroundings.simulated_hubspot,
            plugins: host.plugins.clone(),
        }
    }

    /// Whether they lead to another site.
    pub(super) fn are_elsewhere(&self) -> bool {
        self.simulated_hubspot.is_none()
    }

    /// What one record of a type is called, and the record's page.
    pub(super) fn of(
        &self,
        tx: &store::Tx<'_>,
        connection: ConnectionId,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> Result<(String, Option<String>), store::Error> {
        let records = self.records(tx, connection)?;
        Ok(self.to(&records, object_type, record))
    }

    /// Where the records of a connection are.
    pub(super) fn records(
        &self,
        tx: &store::Tx<'_>,
        connection: ConnectionId,
    ) -> Result<Records, store::Error> {
        let connection = tx.any_connection(connection)?;
        let portal = match sources::Source::of(&connection.connector) {
            sources::Source::HubSpot => Portal::load(tx, &connection)?,
            sources::Source::Push => None,
        };
        Ok(Records {
            portal,
            plugin: self.plugins.serving(&connection).ok(),
            source: Arc::new(SourceName {
                label: self.plugins.label(&connection.connector),
                connector: connection.connector,
            }),
        })
    }

    pub(super) fn to(
        &self,
        records: &Records,
        object_type: &ObjectType,
        record: &RecordId,
    ) -> (String, Option<String>) {
        let object = records.object(object_type);
        let type_id = object_names(object_type.as_str()).1;
        let link = match (self.simulated_hubspot, &records.portal, type_id) {
            (Some(path), Some(_), _) => Some(format!("{}{path}/{object_type}/{record}", self.base)),
            (None, Some(Portal { id, ui_domain }), Some(type_id)) => Some(format!(
                "https://{ui_domain}/contacts/{id}/record/{type_id}/{record}"
            )),
            _ => None,
        };
        (object, link)
    }
}

/// The records of a connection, for people.
pub struct Records {
    pub(super) source: Arc<SourceName>,
    /// Where their pages are, where they have any.
    portal: Option<Portal>,
    plugin: Option<Arc<Version>>,
}

impl Records {
    /// What one record of a type is called.
    pub(super) fn object(&self, object_type: &ObjectType) -> String {
        let described = self.plugin.as_ref().map(|plugin| plugin.description());
        let described = described.and_then(|said| said.object_type(object_type));
        match described {
            Some(described) => described.singular_label.clone(),
            None => object_names(object_type.as_str()).0,
        }
    }
}

/// Where the pages of a HubSpot account are.
struct Portal {
    id: String,
    ui_domain: String,
}

impl Portal {
    fn load(tx: &store::Tx<'_>, connection: &Connection) -> Result<Option<Self>, store::Error> {
        let Some((account, key)) = &connection.account else {
            return Ok(None);
        };
        let ui_domain = match tx.account(*account)?.region.as_deref() {
            None | Some("na1") => "app.hubspot.com".to_owned(),
            Some(region) => format!("app-{region}.hubspot.com"),
        };
        Ok(Some(Self {
            id: key.as_str().to_owned(),
            ui_domain,
        }))
    }
}

/// What one record of a type is called, and HubSpot's number of the type.
pub fn object_names(object_type: &str) -> (String, Option<&'static str>) {
    match object_type {
        "contacts" => ("Contact".to_owned(), Some("0-1")),
        "companies" => ("Company".to_owned(), Some("0-2")),
        "deals" => ("Deal".to_owned(), Some("0-3")),
        other => (other.to_owned(), None),
    }
}
