//! Labels: of options, stages, pipelines and owners, as they are in HubSpot now.

mod met;
mod owners;

use harness::world::World;
use hubspot_sim::{Link, PropertySpec, Route};
use jimo_connect::{
    hubspot::Priority,
    store::projects::Role,
    sync::{
        choices::Untold,
        labels::{self, Refreshed},
    },
};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

/// Fields that show labels of all kinds: an option, an owner, a stage and a
/// pipeline.
fn mappings() -> Value {
    let label = |property: &str, variable: &str| json!({"property": property, "variable": variable, "show": "label"});
    json!({
        "contacts": {"fields": [
            label("lifecyclestage", "lifecycle"),
            label("hubspot_owner_id", "owner"),
        ]},
        "deals": {"fields": [
            label("dealstage", "stage"),
            label("pipeline", "pipeline"),
            {"property": "dealname", "variable": "deal"},
        ]},
    })
}

/// A world whose connection maps as [`mappings`]; the connection's id, and a
/// HubSpot owner's.
async fn connected() -> (World, String, u64) {
    let world = World::start().await;
    let owner = world
        .account(PORTAL)
        .add_owner("ola@acme.example", "Ola", "Nord");
    let connection = world.connect(PORTAL).await;
    world.map(&connection, mappings()).await;
    (world, connection, owner.unwrap())
}

/// A user whose contact is an opportunity of the owner, with a deal in the stage
/// `contractsent`: the user's id, the contact's and the deal's.
async fn user(world: &World, email: &str, owner: u64) -> (String, u64, u64) {
    let id = world.put_users(json!([{ "email": email }])).await.remove(0);
    let account = world.account(PORTAL);
    let owner = owner.to_string();
    let contact = [
        ("email", email),
        ("lifecyclestage", "opportunity"),
        ("hubspot_owner_id", &owner),
    ];
    let contact = account.create("contacts", &contact).unwrap();
    let deal = [
        ("dealname", "A deal"),
        ("dealstage", "contractsent"),
        ("pipeline", "default"),
    ];
    let deal = account.create("deals", &deal).unwrap();
    let (from, to) = (("contacts", contact), ("deals", deal));
    account.associate(from, to, Link::Plain).unwrap();
    world.settle().await;
    (id, contact, deal)
}

/// Refreshes the account's labels, as a catch-up does when it begins.
async fn refresh(world: &World) -> Refreshed {
    let host = world.host();
    let routing = host.pipeline.routing().await.unwrap();
    let route = routing
        .account("hubspot", &PORTAL.to_string().into())
        .unwrap()
        .clone();
    let refreshed = labels::refresh(host, &route, Priority::CatchUp).await;
    world.settle().await;
    refreshed.unwrap()
}

/// How many calls of a kind there were since the last `clear_calls`.
fn calls(world: &World, route: Route) -> usize {
    let calls = world.sim.calls();
    calls.iter().filter(|call| call.route == route).count()
}

async fn reasons(world: &World, connection: &str) -> Vec<Value> {
    let path = format!("/connections/{connection}/activity");
    let lines = world.get(&path).await.good();
    let lines = lines.as_array().unwrap().iter();
    lines.map(|line| line["reason"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_pipelines_and_owners_are_shown_by_their_labels() {
    let (world, _, owner) = connected().await;
    let account = world.account(PORTAL);
    // With several pipelines the definitions say more than the stage's label.
    account
        .define_pipeline(
            "70",
            "Renewals",
            &[("71", "Due", false), ("72", "Renewed", true)],
        )
        .unwrap();
    let (ana, _, deal) = user(&world, "ana@example.com", owner).await;
    let shown = json!({
        "lifecycle": "Opportunity", "owner": "Ola Nord",
        "stage": "Contract Sent", "pipeline": "Sales Pipeline", "deal": "A deal",
    });
    assert_eq!(world.values(&ana).await, shown);
    account
        .patch("deals", deal, &[("pipeline", "70"), ("dealstage", "72")])
        .unwrap();
    world.settle().await;
    let values = world.values(&ana).await;
    assert_eq!(
        [&values["pipeline"], &values["stage"]],
        ["Renewals", "Renewed"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_labels_reach_all_users_with_a_refresh_and_without_a_read() {
    let (world, _, owner) = connected().await;
    let mut users = Vec::new();
    for number in 0..5 {
        users.push(
            user(&world, &format!("{number}@example.com"), owner)
                .await
                .0,
        );
    }
    let account = world.account(PORTAL);
    account
        .relabel("contacts", "lifecyclestage", "opportunity", "A chance")
        .unwrap();
    account.rename_owner(owner, "Ola", "South").unwrap();
    account.rename_stage("contractsent", "Signed").unwrap();
    account.rename_pipeline("default", "New business").unwrap();
    world.sim.clear_calls();
    assert_eq!(
        refresh(&world).await,
        Refreshed {
            changed: 4,
            untold: Vec::new()
        }
    );
    let shown = json!({
        "lifecycle": "A chance", "owner": "Ola South",
        "stage": "Signed", "pipeline": "New business", "deal": "A deal",
    });
    for user in &users {
        assert_eq!(world.values(user).await, shown);
    }
    // A call for an object type's definitions, one for its pipelines, one for
    // the owners and one for those who left; none for any record.
    let made: Vec<_> = world.sim.calls().iter().map(|call| call.route).collect();
    let counted = |route| made.iter().filter(|made| **made == route).count();
    assert_eq!(counted(Route::Properties), 1, "{made:?}");
    assert_eq!(counted(Route::Pipelines), 1, "{made:?}");
    assert_eq!(counted(Route::Owners), 2, "{made:?}");
    assert_eq!(made.len(), 4, "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_catch_up_brings_renamed_labels() {
    let (world, connection, owner) = connected().await;
    let (ana, ..) = user(&world, "ana@example.com", owner).await;
    let account = world.account(PORTAL);
    account.rename_stage("contractsent", "Signed").unwrap();
    let path = format!("/connections/{connection}/syncs");
    let begun = world.post(&path, json!({"kind": "catch_up"})).await;
    assert_eq!(begun.status, 202);
    world.settle().await;
    assert_eq!(world.values(&ana).await["stage"], "Signed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_finds_nothing_new_disturbs_nothing() {
    let (world, _, owner) = connected().await;
    user(&world, "ana@example.com", owner).await;
    let configuration = async || {
        let store = &world.host().store;
        store.read(|tx| tx.configuration()).await.unwrap()
    };
    let before = configuration().await;
    assert_eq!(refresh(&world).await, Refreshed::default());
    assert_eq!(configuration().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn option_tables_are_the_accounts_and_serve_all_its_connections() {
    let (mut world, _, owner) = connected().await;
    let (ana, ..) = user(&world, "ana@example.com", owner).await;
    let first = (world.project.clone(), world.token.clone());
    world.project = world.make_project("Southwind").await;
    let project = world.project.clone();
    world.token = world.make_token(Some(&project), Role::Admin).await;
    let other = world.connect(PORTAL).await;
    world.map(&other, mappings()).await;
    let (ben, ..) = user(&world, "ben@example.com", owner).await;
    world
        .account(PORTAL)
        .rename_stage("contractsent", "Signed")
        .unwrap();
    world.sim.clear_calls();
    assert_eq!(refresh(&world).await.changed, 1);
    assert_eq!(world.values(&ben).await["stage"], "Signed");
    (world.project, world.token) = first;
    assert_eq!(world.values(&ana).await["stage"], "Signed");
    assert_eq!(calls(&world, Route::Pipelines), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_that_is_gone_keeps_its_labels() {
    let world = World::start().await;
    let account = world.account(PORTAL);
    let colour = PropertySpec::select("colour", &[("r", "Red"), ("g", "Green")]);
    account.define("contacts", colour).unwrap();
    let connection = world.connect(PORTAL).await;
    let fields = json!([{"property": "colour", "variable": "colour", "show": "label"}]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    let ana = world
        .put_users(json!([{"email": "ana@example.com"}]))
        .await
        .remove(0);
    let contact = [("email", "ana@example.com"), ("colour", "r")];
    account.create("contacts", &contact).unwrap();
    world.settle().await;
    account.archive_property("contacts", "colour").unwrap();
    let property = ("contacts".into(), "colour".into(), Untold::Gone);
    let expected = Refreshed {
        changed: 0,
        untold: vec![property],
    };
    assert_eq!(refresh(&world).await, expected);
    assert_eq!(world.values(&ana).await, json!({"colour": "Red"}));
}
