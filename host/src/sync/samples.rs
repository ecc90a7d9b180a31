//! Sample values of an account's properties: what some real records have, so that
//! people recognise a property. Kept for a while, like the definitions, and
//! nowhere written.

use std::{collections::HashMap, sync::Arc};

use super::definitions::{self, Definition, Error, call, lately};
use crate::{
    host::Host,
    hubspot::{self, CONNECTOR, Caller, Priority},
    model::{AccountId, ObjectType, PropertyName, RecordId, Shown, Value},
    plugin::{BodyKind, Conversion, ConversionField, Interest, Pass, Version, elements::join},
    sources::Source,
    store::records::RecordKey,
    telemetry::spawn_blocking,
};

/// How many records are looked at: more than one, for most leave most properties
/// empty; few, for each has all of an account's properties, a thousand or more.
const RECORDS: usize = 10;

/// A value for each property that any of the records has one for.
pub type Samples = HashMap<PropertyName, Value>;

/// The samples of an object type, as they were within the last minute. Records
/// that reach users come first.
///
/// # Errors
///
/// Where HubSpot does not answer, or its answer cannot be understood.
pub async fn of(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
) -> Result<Arc<Samples>, Error> {
    let read = || {
        let (host, object_type) = (host.clone(), object_type.clone());
        async move { read(&host, account, &object_type).await }
    };
    let asked = (lately(host), Priority::Live);
    let key = (account, object_type.clone());
    let kept = &host.definitions.samples;
    kept.get(&host.clock, key, asked, read).await
}

async fn read(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
) -> Result<Samples, Error> {
    if definitions::source(host, account).await?.0 == Source::Push {
        // Nothing can be read there.
        return Ok(Samples::new());
    }
    let definitions = definitions::of(host, account, object_type, None).await?;
    let records = records(host, account, object_type).await?;
    if records.is_empty() {
        return Ok(Samples::new());
    }
    let ids: Vec<&str> = records.iter().map(RecordId::as_str).collect();
    let names: Vec<PropertyName> = definitions
        .iter()
        .map(|one| one.property.name.clone())
        .collect();
    let client = &host.hubspot;
    let (ids, names) = (&ids, &names);
    let asked = (host.clock.now(), Priority::Live);
    let read = async |caller: Caller| {
        client
            .read_records(&caller, object_type, ids, names, None)
            .await
    };
    let answer = call(host, account, asked, read).await?;
    let plugin = host.plugins.active(CONNECTOR)?;
    let (of, received_at) = (object_type.clone(), host.clock.now());
    let parse = move || parse(&plugin, &of, &definitions, &answer.body, received_at);
    spawn_blocking(parse).await.map_err(|_| Error::Ended)?
}

/// Some records: those that reach users, else the first that HubSpot lists.
async fn records(
    host: &Arc<Host>,
    account: AccountId,
    object_type: &ObjectType,
) -> Result<Vec<RecordId>, Error> {
    let of = object_type.clone();
    let reached = host.store.read(move |tx| {
        let mut found = Vec::new();
        for connection in tx.account_connections(account)? {
            let first = RecordKey(0);
            let records = tx.reached_records(connection.id, &of, first, i64::MAX, RECORDS)?;
            found.extend(records.into_iter().map(|one| one.record));
        }
        Ok(found)
    });
    // The store's errors are a grant's, too.
    let mut records = reached.await.map_err(super::grants::Error::from)?;
    if records.is_empty() {
        let client = &host.hubspot;
        let asked = (host.clock.now(), Priority::Live);
        let list = async |caller: Caller| client.list(&caller, object_type, &[], None).await;
        records = call(host, account, asked, list).await?.records;
    }
    records.truncate(RECORDS);
    Ok(records)
}

/// The first value of each property, converted as a new variable would be.
fn parse(
    plugin: &Version,
    object_type: &ObjectType,
    definitions: &[Definition],
    body: &[u8],
    received_at: crate::model::Timestamp,
) -> Result<Samples, Error> {
    let elements = plugin
        .split_answer(body, plugin.description().records_page.as_ref())
        .map_err(|error| {
            Error::HubSpot(hubspot::Error::Undecodable {
                call: "batch read",
                reason: error.to_string(),
            })
        })?;
    let fields: Vec<ConversionField> = definitions
        .iter()
        .filter_map(|definition| {
            Some(ConversionField {
                object_type: object_type.clone(),
                property: definition.definition(),
                target: definition.suitable.suggested?,
                show: Shown::InternalValue,
                options: None,
            })
        })
        .collect();
    let interest = Interest {
        object_type: object_type.clone(),
        properties: fields
            .iter()
            .map(|field| field.property.name.clone())
            .collect(),
    };
    let conversions = [Conversion {
        fields,
        tables: Vec::new(),
    }];
    let output = plugin.run(&Pass {
        body: BodyKind::Records(object_type.clone()),
        elements: &join(elements.iter().map(|element| element.bytes)),
        element_count: elements.len(),
        received_at,
        interests: &[interest],
        conversions: &conversions,
        rules: &[],
    })?;
    let mut samples = Samples::new();
    for one in output.converted.into_iter().flatten() {
        if let (Some(field), Ok(Some(value))) = (conversions[0].fields.get(one.field), one.outcome)
        {
            samples.entry(field.property.name.clone()).or_insert(value);
        }
    }
    Ok(samples)
}
