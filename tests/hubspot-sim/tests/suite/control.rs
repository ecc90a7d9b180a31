//! The simulator's own API over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, PORTAL, START_MS, World, answer};

async fn control(world: &World, method: Method, path: &str, body: Value) -> Answer {
    let address = format!("{}/_sim{path}", world.sim.url());
    let request = world.http.request(method, address);
    if body.is_null() {
        return answer(request).await;
    }
    answer(request.json(&body)).await
}

#[tokio::test]
async fn a_world_is_changed_and_told_of_over_http() {
    let world = World::new().await;
    let contacts = format!("/accounts/{PORTAL}/objects/contacts");
    let body = json!({"properties": {"email": "ana@example.com"}, "source": "import"});
    let made = control(&world, Method::POST, &contacts, body).await;
    let ana = made.body["id"].as_u64().unwrap();
    let company = world.account.create("companies", &[]).unwrap();
    let link = json!({"from": ["contacts", ana], "to": ["companies", company], "link": "primary"});
    let links = format!("/accounts/{PORTAL}/associations");
    assert_eq!(
        control(&world, Method::POST, &links, link).await.status,
        200
    );
    let turned = control(&world, Method::POST, "/clock", json!({"turn_ms": 1_000})).await;
    assert_eq!(turned.body["now_ms"], START_MS + 1_000);
    let one = format!("{contacts}/{ana}");
    let city = json!({"properties": {"city": "Lyon"}});
    control(&world, Method::PATCH, &one, city).await;
    let score = json!({"properties": {"num_associated_deals": "9"}});
    let recalculated = control(&world, Method::POST, &format!("{one}/recalculate"), score).await;
    assert_eq!(recalculated.status, 200);

    let truth = control(
        &world,
        Method::GET,
        &format!("/accounts/{PORTAL}/truth"),
        Value::Null,
    )
    .await;
    let record = &truth.body["records"]["contacts"][ana.to_string()];
    assert_eq!(record["existence"], "live");
    assert_eq!(record["modified_at_ms"], START_MS + 1_000);
    let properties = &record["properties"];
    assert_eq!(properties["email"]["changed_at_ms"], START_MS);
    assert_eq!(properties["city"]["value"], "Lyon");
    assert_eq!(properties["num_associated_deals"]["calculated"], true);
    let primary = &record["associations"]["companies"][0];
    assert_eq!(primary["id"], company);
    assert_eq!(primary["primary"], true);

    let again = json!({"properties": {"email": "ANA@example.com"}});
    assert_eq!(
        control(&world, Method::POST, &contacts, again).await.status,
        409
    );
    let gone = control(&world, Method::POST, &format!("{one}/erase"), Value::Null).await;
    assert_eq!(gone.status, 200);
    let state = control(&world, Method::GET, "/state", Value::Null).await;
    assert_eq!(state.body["accounts"][0]["records"]["contacts"], 0);
    assert_eq!(state.body["accounts"][0]["installed"], true);
}
