//! Big worlds: no call may cost more because there are many records.

use std::time::{Duration, Instant};

use hubspot_sim::{Clock, Config, Limits, Link, Simulator};
use serde_json::json;

use crate::world::{START_MS, World};

#[tokio::test]
async fn a_hub_of_many_associations_is_built_in_time() {
    let world = World::new().await;
    let account = &world.account;
    let began = Instant::now();
    let company = account.create("companies", &[("name", "Hub")]).unwrap();
    for n in 0..20_000 {
        let email = format!("p{n}@example.com");
        let id = account.create("contacts", &[("email", &email)]).unwrap();
        account
            .associate(("contacts", id), ("companies", company), Link::Plain)
            .unwrap();
    }
    let hub = account.record("companies", company).unwrap();
    assert_eq!(hub.value("num_associated_contacts"), Some("20000"));
    let read = world
        .post(
            "/crm/associations/2026-09/companies/contacts/batch/read",
            json!({"inputs": [{"id": company.to_string()}]}),
        )
        .await;
    assert_eq!(read.body["results"][0]["to"].as_array().unwrap().len(), 500);
    let found = world
        .post(
            "/crm/v3/objects/contacts/search",
            json!({"limit": 200, "filterGroups": [{"filters": [
                {"propertyName": "email", "operator": "IN", "values": ["p7@example.com", "P19999@example.com"]}
            ]}]}),
        )
        .await;
    assert_eq!(found.body["total"], 2);
    // Quadratic work would take minutes.
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_seed_gives_the_same_world_again() {
    async fn world() -> hubspot_sim::Truth {
        let sim = Simulator::start(Config {
            seed: 9,
            clock: Clock::manual(START_MS),
            limits: Limits::unlimited(),
            ..Config::default()
        })
        .await
        .unwrap();
        let account = sim.account(7);
        let one = account
            .create("contacts", &[("email", "a@x.example")])
            .unwrap();
        let two = account
            .create("contacts", &[("email", "b@x.example")])
            .unwrap();
        sim.turn(Duration::from_secs(1));
        let deal = account.create("deals", &[("dealname", "D")]).unwrap();
        account
            .associate(("deals", deal), ("contacts", two), Link::Plain)
            .unwrap();
        account.merge("contacts", one, two).unwrap();
        sim.truth(7).unwrap()
    }
    let truth = world().await;
    assert_eq!(truth, world().await);
    let deal = truth.live(hubspot_sim::ObjectType::Deals).next().unwrap();
    let ana = truth.contact_by_email("B@x.example").unwrap();
    assert_eq!(deal.linked(hubspot_sim::ObjectType::Contacts), [ana.id]);
    let text = serde_json::to_string(&truth).unwrap();
    assert_eq!(
        serde_json::from_str::<hubspot_sim::Truth>(&text).unwrap(),
        truth
    );
}
