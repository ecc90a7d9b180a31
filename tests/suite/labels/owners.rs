//! Owners by name, and where the admin does not let us read them.

use harness::{answer::Answer, world::World};
use hubspot_sim::AccountSpec;
use jimo_connect::{
    hubspot::{OWNERS_SCOPE, oauth::SCOPES},
    sync::{choices::Untold, labels::Refreshed},
};
use serde_json::{Value, json};

use super::{PORTAL, connected, mappings, refresh, user};

#[tokio::test(flavor = "multi_thread")]
async fn owners_beyond_one_page_and_those_who_left_are_known_by_name() {
    let world = World::start().await;
    let account = world.account(PORTAL);
    for number in 0..600 {
        let email = format!("{number}@acme.example");
        account
            .add_owner(&email, "Owner", &number.to_string())
            .unwrap();
    }
    let left = account
        .add_owner("lea@acme.example", "Lea", "Left")
        .unwrap();
    account.archive_owner(left).unwrap();
    let connection = world.connect(PORTAL).await;
    world.map(&connection, mappings()).await;
    let (ana, ..) = user(&world, "ana@example.com", left).await;
    let (ben, ..) = user(&world, "ben@example.com", left - 1).await;
    assert_eq!(world.values(&ana).await["owner"], "Lea Left");
    assert_eq!(world.values(&ben).await["owner"], "Owner 599");
}

/// A world with an account whose plan grants no reading of owners.
async fn without_owners() -> (World, String) {
    let world = World::start().await;
    let account = AccountSpec::new(PORTAL).scopes(&SCOPES);
    let _ = world.sim.add_account(account);
    let connection = world.connect(PORTAL).await;
    (world, connection)
}

async fn property(world: &World, connection: &str, name: &str) -> Value {
    let path = format!("/connections/{connection}/properties?object_type=contacts");
    let listed = world.get(&path).await.good();
    let mut listed = listed.as_array().unwrap().iter();
    listed.find(|one| one["name"] == name).unwrap().clone()
}

async fn try_owner(world: &World, connection: &str) -> Answer {
    let owner = json!({"property": "hubspot_owner_id", "variable": "owner", "show": "label"});
    let document = json!({"contacts": {"fields": [owner]}});
    let path = format!("/connections/{connection}/mappings");
    world.put(&path, document).await
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_that_cannot_be_read_are_refused_when_they_are_mapped_and_it_is_said_before() {
    let (world, connection) = without_owners().await;
    let labels = property(&world, &connection, "hubspot_owner_id").await["labels"].clone();
    assert_eq!(labels["available"], false);
    let why = labels["why"].as_str().unwrap();
    assert!(why.contains(OWNERS_SCOPE), "{why}");
    let labels = property(&world, &connection, "lifecyclestage").await["labels"].clone();
    assert_eq!(labels, json!({"available": true}));
    let labels = property(&world, &connection, "jobtitle").await["labels"].clone();
    assert_eq!(labels, Value::Null);

    let refused = try_owner(&world, &connection).await;
    let problem = refused.clone().problem(422);
    assert_eq!(refused.pointers(), ["/contacts/fields/0/show"]);
    assert_eq!(problem["errors"][0]["detail"], why);
    // Internal values are no secret, and nothing else is in the way.
    let fields = json!([
        {"property": "hubspot_owner_id", "variable": "owner"},
        {"property": "lifecyclestage", "variable": "lifecycle", "show": "label"},
    ]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_can_be_shown_by_name_where_the_admin_grants_it() {
    let world = World::start().await;
    let connection = world.connect(PORTAL).await;
    let labels = property(&world, &connection, "hubspot_owner_id").await["labels"].clone();
    assert_eq!(labels, json!({"available": true}));
    try_owner(&world, &connection).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_owners_scope_keeps_names_and_holds_up_no_other_label() {
    let (world, _, owner) = connected().await;
    let (ana, ..) = user(&world, "ana@example.com", owner).await;
    let account = world.account(PORTAL);
    account.drop_scope(OWNERS_SCOPE);
    account.rename_owner(owner, "Ola", "South").unwrap();
    account.rename_stage("contractsent", "Signed").unwrap();
    let refreshed = refresh(&world).await;
    let untold = Untold::MissingScopes(vec![OWNERS_SCOPE.to_owned()]);
    let property = ("contacts".into(), "hubspot_owner_id".into(), untold);
    assert_eq!(
        refreshed,
        Refreshed {
            changed: 1,
            untold: vec![property]
        }
    );
    let values = world.values(&ana).await;
    assert_eq!([&values["owner"], &values["stage"]], ["Ola Nord", "Signed"]);
}
