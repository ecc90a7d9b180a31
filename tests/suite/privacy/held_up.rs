//! An erasure waits for what is let go of before it, and that is told of.

use std::time::Duration;

use harness::world::World;
use serde_json::{Value, json};

use super::PORTAL;

/// More users than have their keys made at once.
const MANY: usize = 1_001;

/// Connects an account, maps its contacts' titles to a variable, and has one user fed
/// by a contact: the connection and the contact.
async fn fed(world: &World, portal: u64, variable: &str) -> (String, u64) {
    let connection = world.connect(portal).await;
    let fields = json!([{"property": "jobtitle", "variable": variable}]);
    let mappings = json!({"contacts": {"fields": fields}});
    world.map(&connection, mappings).await;
    let email = format!("{variable}@example.com");
    world.put_users(json!([{"email": email}])).await;
    let contact = [("email", email.as_str()), ("jobtitle", "Cook")];
    let contact = world.account(portal).create("contacts", &contact).unwrap();
    world.settle().await;
    (connection, contact)
}

/// A segment of who has this text: its users are found by their values.
async fn segment(world: &World, variable: &str, text: &str) {
    let rule = json!({"variable": variable, "operator": "is", "value": text});
    let body = json!({"name": variable, "conditions": rule});
    assert_eq!(world.post("/segments", body).await.status, 201);
}

async fn health(world: &World) -> Value {
    let (status, text) = world.page(world.host().url("/health")).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// For how long the oldest erasure waits, by the metrics.
async fn oldest(world: &World) -> u64 {
    let (_, metrics) = world.page(world.host().url("/metrics")).await;
    let name = "jimo_connect_erasures_oldest_seconds ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_let_go_of_keeps_nothing_else_and_that_an_erasure_waits_is_said() {
    let world = World::start().await;
    let (first, _) = fed(&world, PORTAL, "title").await;
    let (second, contact) = fed(&world, PORTAL + 1, "other_title").await;
    segment(&world, "title", "Cook").await;
    assert_eq!(health(&world).await["erasures"]["waiting"], 0);
    // No text, where one has to be.
    let set_value = async |from: &str, to: &str| {
        let title = "SELECT id FROM variables WHERE name = 'title'";
        let of = format!("variable = ({title}) AND value = {from}");
        let sql = format!("UPDATE user_values SET value = {to} WHERE {of}");
        world.tamper(&sql).await;
    };
    set_value("'Cook'", "7").await;
    let delete = async |connection: &str| {
        let path = format!("/connections/{connection}?values=clear");
        assert_eq!(world.delete(&path).await.status, 204);
    };
    delete(&first).await;
    let account = world.account(PORTAL + 1);
    account.erase("contacts", contact).unwrap();
    world.applied().await;
    delete(&second).await;

    // What else is let go of goes, and what users are found by is made.
    let releases = || world.count("SELECT count(*) FROM releases");
    world.until(async || releases() == 1).await;
    for half in [0..MANY / 2, MANY / 2..MANY] {
        let user = |number| json!({"external_id": format!("u-{number}")});
        world.put_users(half.map(user).collect()).await;
    }
    let plan = json!({"name": "plan", "type": "text"});
    world.post("/variables", plan).await.good();
    segment(&world, "plan", "Team").await;
    let sought = "SELECT count(*) FROM sought_variables WHERE stage <> 'complete'";
    world.until(async || world.count(sought) == 0).await;
    assert_eq!(releases(), 1);

    let told = health(&world).await;
    assert_eq!(told["erasures"]["waiting"], 1, "{told}");
    assert!(told["erasures"]["since"].is_string(), "{told}");
    assert_eq!(told["problems"], json!([]));
    world.clock.turn(Duration::from_secs(2 * 3_600));
    let told = health(&world).await;
    let problem = told["problems"][0].as_str().unwrap();
    assert!(problem.contains("deleted for privacy"), "{told}");
    assert!(oldest(&world).await >= 2 * 3_600);

    // Mended, it is over.
    set_value("7", "'Cook'").await;
    let over = json!({"waiting": 0, "since": null});
    let is_over = async || health(&world).await["erasures"] == over;
    world.until(is_over).await;
    assert_eq!(releases(), 0);
    assert_eq!(oldest(&world).await, 0);
}
