//! What is held of one record cannot be read, and what was set aside tells of it.

use harness::{bare::deliver, components::misbehaving_as, world::World};
use jimo_connect::{intake, plugin::EMBEDDED};
use serde_json::json;

use super::replays::{activate, printed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_applied_stays_and_nothing_waits_behind_it() {
    let world = World::start().await;
    let portal = 48_975_575;
    let connection = world.connect(portal).await;
    let people = json!([{"email": "ana@example.com"}, {"email": "ben@example.com"}]);
    let ids = world.put_users(people).await;
    let titled = json!({"property": "jobtitle", "variable": "job_title"});
    world
        .map(&connection, json!({"contacts": {"fields": [titled]}}))
        .await;
    let contact = |email: &str| {
        let contact = [("email", email), ("jobtitle", "Cook")];
        world.account(portal).create("contacts", &contact).unwrap()
    };
    let (ana, ben) = (contact("ana@example.com"), contact("ben@example.com"));
    world.settle().await;
    activate(world.host(), &misbehaving_as("hubspot", "nothing"));
    let webhooks = world.host().url(intake::PATH).to_string();
    let secret = world.sim.app().client_secret;
    for contact in [ana, ben] {
        let change = json!([{
            "portalId": portal, "objectId": contact, "occurredAt": world.clock.now().0,
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
