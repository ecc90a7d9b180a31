//! What is held of one record cannot be read, and what was set aside tells of it.

use harness::bare::deliver;
use jimo_connect::{intake, plugin::EMBEDDED};
use serde_json::json;

use super::replays::{PORTAL, Two, activate, printed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_applied_stays_and_nothing_waits_behind_it() {
    let Two {
        world,
        ids,
        contacts: [ana, ben],
        ..
    } = Two::start().await;
    let webhooks = world.host().url(intake::PATH).to_string();
    let secret = world.sim.app().client_secret;
    for contact in [ana, ben] {
        let change = json!([{
            "portalId": PORTAL, "objectId": contact, "occurredAt": world.clock.now().0,
            "misbehave": "trap", "subscriptionType": "contact.propertyChange",
            "propertyName": "jobtitle", "propertyValue": "Chef",
        }]);
        let body = change.to_string().into_bytes();
        assert_eq!(deliver(&webhooks, &secret, body).await.unwrap(), 204);
        world.applied().await;
    }
    activate(world.host(), EMBEDDED);
    let set_value = async |value: &str| {
        let of = format!("SELECT id FROM records WHERE record = {ana}");
        let sql = format!("UPDATE registers SET value = {value} WHERE record = ({of})");
        world.tamper(&sql).await;
    };
    // No text, where one has to be.
    set_value("7").await;
    let directory = world.directory.path();
    let told = printed(directory, &["replay", "--all"]);
    assert_eq!(told, b"1 worked on, 1 stayed\n");
    assert_eq!(world.values(&ids[1]).await, json!({"job_title": "Chef"}));
    let listed = String::from_utf8(printed(directory, &["list"])).unwrap();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let why = "it could not be applied: the store holds a value that this release does not";
    assert!(listed.contains(why), "{listed}");

    // As it is where the text says it.
    set_value("x''").await;
    let told = printed(directory, &["replay", "--all"]);
    assert_eq!(told, b"1 worked on, 0 stayed\n");
    assert_eq!(world.values(&ids[0]).await, json!({"job_title": "Chef"}));
}
