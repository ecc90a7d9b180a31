//! What is deleted for privacy in HubSpot is nowhere any more, in no file.

mod everywhere;
mod held_up;
mod late;
mod power_cuts;
mod steps;

use std::path::Path;

use harness::{bare::deliver, world::World};
use hubspot_sim::PropertySpec;
use jimo_connect::{clock::Clock, intake};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// What HubSpot knows of her, and Jimo does not.
const ADDRESS: &str = "zm1871@hidden.example";
const NAME: &str = "Hildegard Zuckermandel";
const TITLE: &str = "Keeper of the forbidden shelf";

/// A world whose contacts are matched by the customer's own id for its users,
/// and are mapped with companies behind them; its connection's id.
async fn connected() -> (World, String) {
    let world = World::start().await;
    let account = world.account(PORTAL);
    let own = PropertySpec::text("jimo_id");
    account.define("contacts", own).unwrap();
    let connection = world.connect(PORTAL).await;
    world.map(&connection, mappings()).await;
    (world, connection)
}

fn mappings() -> Value {
    json!({
        "contacts": {
            "matching": {"property": "jimo_id", "user": "external_id"},
            "fields": [
                {"property": "email", "variable": "crm_email"},
                {"property": "firstname", "variable": "crm_name"},
                {"property": "jobtitle", "variable": "job_title"},
            ],
        },
        "companies": {"fields": [{"property": "name", "variable": "company"}]},
    })
}

/// A user, and a contact that feeds it: both ids.
async fn person(world: &World, number: usize, values: &[(&str, &str)]) -> (String, u64) {
    let own = format!("u-{number}");
    let user = json!([{"external_id": own, "email": format!("{own}@jimo.example")}]);
    let user = world.put_users(user).await.remove(0);
    let account = world.account(PORTAL);
    let contact = account.create("contacts", &[("jimo_id", &own)]).unwrap();
    world.settle().await;
    account.patch("contacts", contact, values).unwrap();
    world.settle().await;
    (user, contact)
}

/// Her, as HubSpot knows her.
async fn hildegard(world: &World) -> (String, u64) {
    let values = [("email", ADDRESS), ("firstname", NAME), ("jobtitle", TITLE)];
    person(world, 0, &values).await
}

/// Delivers events of the account in one body, and returns before they are
/// applied.
async fn events(world: &World, mut events: Vec<Value>) {
    let app = world.sim.app();
    for event in &mut events {
        event["portalId"] = PORTAL.into();
        event["appId"] = app.id.into();
    }
    let body = Value::from(events).to_string();
    let url = world.host().url(intake::PATH);
    let status = deliver(url.as_str(), &app.client_secret, body.into()).await;
    assert_eq!(status.unwrap(), 204);
}

/// A contact's property has a new text just now, in an event of its own.
fn says(contact: u64, property: &str, text: &str) -> Value {
    json!({
        "objectId": contact, "subscriptionType": "contact.propertyChange",
        "occurredAt": Clock::system().now().0, "propertyName": property, "propertyValue": text,
    })
}

/// The files below a directory in which some bytes stand, and the entries of event logs
/// that have them.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(text);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
            continue;
        }
        // One that was there a moment ago may be gone.
        if has(&std::fs::read(&path).unwrap_or_default()) {
            found.push(path.display().to_string());
        }
        if path.ends_with("log.sqlite") {
            let entries = bodies(&path).into_iter().filter(|(_, body)| has(body));
            found.extend(entries.map(|(position, _)| format!("entry {position}")));
        }
    }
    found
}

/// The bodies in a log's file, with their positions.
fn bodies(path: &Path) -> Vec<(i64, Vec<u8>)> {
    let read_only = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let log = rusqlite::Connection::open_with_flags(path, read_only).unwrap();
    let entries = "SELECT position, body, uncompressed_bytes FROM entries";
    let mut entries = log.prepare(entries).unwrap();
    let bodies = entries.query_map([], |row| {
        let (position, stored, bytes): (_, Vec<u8>, Option<u32>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let body = match bytes {
            Some(bytes) => lz4_flex::block::decompress(&stored, bytes as usize).unwrap(),
            None => stored,
        };
        Ok((position, body))
    });
    bodies.unwrap().map(Result::unwrap).collect()
}

/// Fails where any of these stand in any file.
#[track_caller]
pub(crate) fn nowhere(directory: &Path, texts: &[&str]) {
    for text in texts {
        assert_eq!(files_with(directory, text), Vec::<String>::new(), "{text}");
    }
}

/// Fails where any of these stand in no file.
#[track_caller]
pub(crate) fn somewhere(directory: &Path, texts: &[&str]) {
    for text in texts {
        assert_ne!(files_with(directory, text), Vec::<String>::new(), "{text}");
    }
}
