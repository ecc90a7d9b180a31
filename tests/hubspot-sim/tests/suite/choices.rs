//! Pipelines and owners, as an administrator arranges them, over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{PORTAL, World, answer};

const OWNERS: &str = "crm.objects.owners.read";

/// A world whose token has these scopes.
async fn world(scopes: &[&str]) -> World {
    let mut world = World::new().await;
    world.tokens = world.sim.account(PORTAL).install(scopes);
    world
}

/// What there is of each stage: id, label and whether it is closed.
fn stages(pipeline: &Value) -> Vec<[&str; 3]> {
    let stages = pipeline["stages"].as_array().unwrap().iter();
    let told = stages.map(|stage| {
        let (label, closed) = (&stage["label"], &stage["metadata"]["isClosed"]);
        [&stage["id"], label, closed].map(|text| text.as_str().unwrap())
    });
    told.collect()
}

#[tokio::test]
async fn pipelines_are_told_with_their_stages_as_they_are_arranged() {
    let world = world(&["oauth", "crm.schemas.deals.read", "crm.objects.deals.read"]).await;
    let deal = [("dealstage", "contractsent"), ("pipeline", "default")];
    let deal = world.account.create("deals", &deal).unwrap();
    let renewals = [("71", "Due", false), ("72", "Renewed", true)];
    world
        .account
        .define_pipeline("70", "Renewals", &renewals)
        .unwrap();
    world.account.rename_pipeline("default", "Sales").unwrap();
    world
        .account
        .rename_stage("contractsent", "Signed")
        .unwrap();
    world
        .account
        .set_stage_closed("contractsent", true)
        .unwrap();

    let told = world.get("/crm/pipelines/2026-09/deals").await;
    let results = told.body["results"].as_array().unwrap();
    assert_eq!(
        [&results[0]["label"], &results[1]["label"]],
        ["Sales", "Renewals"]
    );
    assert!(stages(&results[0]).contains(&["contractsent", "Signed", "true"]));
    assert_eq!(
        stages(&results[1]),
        [["71", "Due", "false"], ["72", "Renewed", "true"]]
    );
    let one = world.get("/crm/v3/pipelines/0-3/70").await;
    assert_eq!(one.body, results[1]);
    assert_eq!(
        world.get("/crm/pipelines/2026-09/deals/71").await.status,
        404
    );
    let none = world.get("/crm/pipelines/2026-09/contacts").await;
    assert_eq!(none.status, 403);

    // What follows from them follows.
    let path = format!("/crm/objects/2026-09/deals/{deal}?properties=hs_is_closed");
    assert_eq!(
        world.get(&path).await.body["properties"]["hs_is_closed"],
        "true"
    );
    let defined = world.get("/crm/properties/2026-09/deals/dealstage").await;
    let options = defined.body["options"].as_array().unwrap();
    let labels: Vec<_> = options.iter().map(|option| &option["label"]).collect();
    assert!(labels.contains(&&json!("Signed (Sales)")), "{labels:?}");
    let refused = world.account.patch("deals", deal, &[("dealstage", "73")]);
    assert!(refused.is_err());
    world
        .account
        .patch("deals", deal, &[("dealstage", "71")])
        .unwrap();
    assert!(
        world
            .account
            .add_stage("70", "closedwon", "Won", true)
            .is_err()
    );
}

#[tokio::test]
async fn owners_are_told_page_by_page_to_whom_may_read_them() {
    let mut names = Vec::new();
    let world = world(&["oauth", OWNERS]).await;
    for number in 0..5 {
        let email = format!("{number}@acme.example");
        names.push(
            world
                .account
                .add_owner(&email, "Owner", &number.to_string())
                .unwrap(),
        );
    }
    world.account.archive_owner(names[1]).unwrap();
    world.account.rename_owner(names[2], "Ola", "Nord").unwrap();
    let mut path = "/crm/owners/2026-09?limit=2".to_owned();
    let mut told = Vec::new();
    loop {
        let page = world.get(&path).await.body;
        let results = page["results"].as_array().unwrap().clone();
        told.extend(results.into_iter().map(|owner| owner["lastName"].clone()));
        match page["paging"]["next"]["after"].as_str() {
            Some(after) => path = format!("/crm/owners/2026-09?limit=2&after={after}"),
            None => break,
        }
    }
    assert_eq!(told, ["0", "Nord", "3", "4"]);
    let left = world.get("/crm/v3/owners?archived=true").await.body;
    assert_eq!(left["results"][0]["id"], names[1].to_string());
    assert_eq!(left["results"][0]["userId"], Value::Null);
    assert_eq!(left["results"].as_array().unwrap().len(), 1);
    let one = format!("/crm/owners/2026-09/{}", names[0]);
    assert_eq!(world.get(&one).await.body["email"], "0@acme.example");
    assert_eq!(world.get("/crm/owners/2026-09?limit=501").await.status, 400);

    world.account.drop_scope(OWNERS);
    let refused = world.get("/crm/owners/2026-09").await;
    assert_eq!(refused.status, 403);
    let named = &refused.body["errors"][0]["context"]["requiredGranularScopes"];
    assert_eq!(*named, json!([OWNERS]));
}

#[tokio::test]
async fn pipelines_and_owners_are_arranged_over_http() {
    let world = world(&["oauth", OWNERS, "crm.objects.deals.read"]).await;
    let control = async |method, path: &str, body: Value| {
        let url = format!("{}/_sim/accounts/{PORTAL}{path}", world.sim.url());
        let made = answer(world.http.request(method, url).json(&body)).await;
        assert_eq!(made.status, 200, "{path} {}", made.body);
        made.body
    };
    let stage = json!({"id": "71", "label": "Due"});
    let renewals = json!({"id": "70", "label": "Renewals", "stages": [stage]});
    control(Method::POST, "/pipelines", renewals).await;
    control(Method::PATCH, "/pipelines/70", json!({"label": "Renewal"})).await;
    control(
        Method::PATCH,
        "/stages/71",
        json!({"label": "Late", "closed": true}),
    )
    .await;
    let told = world.get("/crm/pipelines/2026-09/deals/70").await.body;
    assert_eq!(told["label"], "Renewal");
    assert_eq!(stages(&told), [["71", "Late", "true"]]);
    let ola = json!({"email": "o@acme.example", "first_name": "Ola", "last_name": "Nord"});
    let id = control(Method::POST, "/owners", ola).await["id"].clone();
    let path = format!("/owners/{id}");
    control(
        Method::PATCH,
        &path,
        json!({"name": ["Ola", "South"], "archived": true}),
    )
    .await;
    let left = world.get("/crm/owners/2026-09?archived=true").await.body;
    assert_eq!(left["results"][0]["lastName"], "South");
}
