//! Which of several deals feeds a user: open ones before closed ones.

use std::time::Duration;

use harness::world::World;
use hubspot_sim::{Link, PropertySpec, Route};
use jimo_connect::{hubspot::Priority, sync::labels};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// Deals that follow their contacts, open ones first.
fn mappings(selection: &Value) -> Value {
    let mut selection = selection.clone();
    selection["prefer_open"] = true.into();
    json!({
        "contacts": {},
        "deals": {
            "selection": selection,
            "fields": [{"property": "dealname", "variable": "deal"}],
        },
    })
}

/// A world that maps so, with a user and its contact: the connection, the user
/// and the contact.
async fn connected(selection: &Value) -> (World, String, String, u64) {
    let world = World::start().await;
    let connection = world.connect(PORTAL).await;
    subscribe(&world, &["dealstage", "amount"]);
    world.map(&connection, mappings(selection)).await;
    let (user, contact) = person(&world, "ana@example.com").await;
    (world, connection, user, contact)
}

fn subscribe(world: &World, properties: &[&str]) {
    for property in properties {
        // It may be among those that every app has.
        let _ = world.sim.subscribe("deal.propertyChange", Some(property));
    }
}

/// A user and its contact.
async fn person(world: &World, email: &str) -> (String, u64) {
    let user = world.put_users(json!([{ "email": email }])).await.remove(0);
    let account = world.account(PORTAL);
    let contact = account.create("contacts", &[("email", email)]).unwrap();
    (user, contact)
}

/// What passes between two changes. All of them together stay within what the
/// host believes of HubSpot's clock, which alone is turned.
const MOMENT: Duration = Duration::from_millis(20);

/// A deal of a contact, made a moment after what was made before.
fn deal(world: &World, contact: u64, name: &str, stage: &str, amount: &str) -> u64 {
    world.sim.turn(MOMENT);
    let account = world.account(PORTAL);
    let values = [("dealname", name), ("dealstage", stage), ("amount", amount)];
    let deal = account.create("deals", &values).unwrap();
    let (from, to) = (("contacts", contact), ("deals", deal));
    account.associate(from, to, Link::Plain).unwrap();
    deal
}

fn move_to(world: &World, deal: u64, stage: &str) {
    world.sim.turn(MOMENT);
    let account = world.account(PORTAL);
    account
        .patch("deals", deal, &[("dealstage", stage)])
        .unwrap();
}

async fn shown(world: &World, user: &str) -> Value {
    world.values(user).await["deal"].clone()
}

async fn refresh(world: &World) {
    let host = world.host();
    let routing = host.pipeline.routing().await.unwrap();
    let route = routing
        .account("hubspot", &PORTAL.to_string().into())
        .unwrap()
        .clone();
    labels::refresh(host, &route, Priority::CatchUp)
        .await
        .unwrap();
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_deals_come_last_whatever_the_rule() {
    for selection in [
        json!({"rule": "latest_modified"}),
        json!({"rule": "latest_created"}),
        json!({"rule": "largest", "property": "amount"}),
    ] {
        let (world, connection, ana, contact) = connected(&selection).await;
        deal(&world, contact, "Small", "qualifiedtobuy", "10");
        deal(&world, contact, "Fair", "contractsent", "20");
        deal(&world, contact, "Won", "closedwon", "30");
        deal(&world, contact, "Lost", "closedlost", "40");
        world.settle().await;
        // The rule decides among the open ones.
        assert_eq!(shown(&world, &ana).await, "Fair", "{selection}");
        let path = format!("/connections/{connection}/mappings");
        let saved = world.get(&path).await.good();
        assert_eq!(saved["deals"], {
            let mut expected = mappings(&selection)["deals"].clone();
            expected["matching"] = json!({"through": "contacts"});
            expected["fields"][0]["type"] = "text".into();
            expected
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_that_closes_hands_over_to_the_open_one_and_back_when_it_reopens() {
    let largest = json!({"rule": "largest", "property": "amount"});
    let (world, _, ana, contact) = connected(&largest).await;
    let big = deal(&world, contact, "Big", "contractsent", "100");
    let small = deal(&world, contact, "Small", "contractsent", "1");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Big");
    move_to(&world, big, "closedlost");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Small");
    // Where all are closed, the rule decides among them.
    move_to(&world, small, "closedwon");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Big");
    move_to(&world, small, "qualifiedtobuy");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Small");
    move_to(&world, big, "qualifiedtobuy");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Big");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_of_any_pipeline_tells_whether_a_deal_is_closed() {
    let (world, connection, ana, contact) = connected(&json!({"rule": "latest_created"})).await;
    let account = world.account(PORTAL);
    account
        .define_pipeline(
            "70",
            "Renewals",
            &[("71", "Due", false), ("72", "Gone", true)],
        )
        .unwrap();
    world
        .map(&connection, mappings(&json!({"rule": "latest_created"})))
        .await;
    deal(&world, contact, "Sale", "contractsent", "1");
    let renewal = deal(&world, contact, "Renewal", "71", "1");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Renewal");
    move_to(&world, renewal, "72");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Sale");
}

/// More users than one page of what is gone through again.
#[tokio::test(flavor = "multi_thread")]
async fn a_stage_made_closed_in_the_definition_selects_anew_with_the_next_refresh() {
    let (world, connection, ana, contact) = connected(&json!({"rule": "latest_created"})).await;
    let mut users = vec![ana];
    deal(&world, contact, "First", "qualifiedtobuy", "1");
    deal(&world, contact, "Second", "contractsent", "1");
    for number in 0..260 {
        let (user, contact) = person(&world, &format!("{number}@example.com")).await;
        deal(&world, contact, "First", "qualifiedtobuy", "1");
        deal(&world, contact, "Second", "contractsent", "1");
        users.push(user);
    }
    world.settle().await;
    for user in &users {
        assert_eq!(shown(&world, user).await, "Second");
    }
    let account = world.account(PORTAL);
    for (closed, expected) in [(true, "First"), (false, "Second")] {
        account.set_stage_closed("contractsent", closed).unwrap();
        world.sim.clear_calls();
        refresh(&world).await;
        if closed {
            // It moves everybody: the brake asks, and asks no more for an hour.
            let path = format!("/connections/{connection}/continue");
            assert_eq!(world.post(&path, json!({})).await.status, 202);
            world.settle().await;
        }
        for user in &users {
            assert_eq!(shown(&world, user).await, expected);
        }
        let calls = world.sim.calls();
        let of = |route| calls.iter().filter(|call| call.route == route).count();
        assert_eq!(of(Route::Pipelines), 1);
        // Those that begin to feed are read, a hundred a call.
        assert!(of(Route::BatchRead) <= 12, "{}", of(Route::BatchRead));
    }
    // A label alone selects nothing anew.
    account.rename_stage("contractsent", "Signed").unwrap();
    world.sim.clear_calls();
    refresh(&world).await;
    assert_eq!(world.sim.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_deals_come_first_where_deals_are_matched_themselves() {
    let world = World::start().await;
    let connection = world.connect(PORTAL).await;
    let account = world.account(PORTAL);
    account
        .define("deals", PropertySpec::text("customer_id"))
        .unwrap();
    subscribe(&world, &["dealstage", "customer_id"]);
    let document = json!({"deals": {
        "matching": {"property": "customer_id", "user": "external_id"},
        "selection": {"rule": "latest_created", "prefer_open": true},
        "fields": [{"property": "dealname", "variable": "deal"}],
    }});
    world.map(&connection, document).await;
    let ana = world
        .put_users(json!([{"external_id": "c-1"}]))
        .await
        .remove(0);
    let mut deals = Vec::new();
    for (name, stage) in [("Open", "contractsent"), ("Newer", "contractsent")] {
        world.sim.turn(MOMENT);
        let values = [
            ("dealname", name),
            ("dealstage", stage),
            ("customer_id", "c-1"),
        ];
        deals.push(account.create("deals", &values).unwrap());
    }
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Newer");
    move_to(&world, deals[1], "closedwon");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_added_and_closed_since_is_known_as_closed_without_labels_being_shown() {
    let (world, _, ana, contact) = connected(&json!({"rule": "latest_created"})).await;
    deal(&world, contact, "Open", "contractsent", "1");
    let newer = deal(&world, contact, "Newer", "contractsent", "1");
    world.settle().await;
    let account = world.account(PORTAL);
    account.add_stage("default", "void", "Void", true).unwrap();
    move_to(&world, newer, "void");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Open");
}

#[tokio::test(flavor = "multi_thread")]
async fn preferring_open_deals_reads_nothing_and_a_full_sync_applies_it_to_those_from_before() {
    let latest = json!({"rule": "latest_created"});
    let (world, connection, ana, contact) = connected(&latest).await;
    let mut indifferent = mappings(&latest);
    indifferent["deals"]["selection"] = latest.clone();
    world.map(&connection, indifferent).await;
    deal(&world, contact, "Open", "contractsent", "1");
    deal(&world, contact, "Won", "closedwon", "1");
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Won");
    world.sim.clear_calls();
    world.map(&connection, mappings(&latest)).await;
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Won");
    let calls = world.sim.calls();
    assert!(calls.iter().all(|call| call.route != Route::BatchRead));
    let path = format!("/connections/{connection}/syncs");
    let begun = world.post(&path, json!({"kind": "full"})).await;
    assert_eq!(begun.status, 202);
    world.settle().await;
    assert_eq!(shown(&world, &ana).await, "Open");
}
