//! Beside it, in the same host, a component of HubSpot's that was built for the first
//! contract that was published.

use super::*;

/// Built for 1.0.0 when that was published.
const FIRST: &[u8] = include_bytes!("../../fixtures/components/hubspot-1.0.0.wasm");

const PORTAL: u64 = 48_975_575;

#[tokio::test(flavor = "multi_thread")]
async fn a_component_built_for_the_first_contract_is_installed_and_runs_beside_one_of_now() {
    let (pushed, _) = Pushed::mapped().await;
    let world = &pushed.world;
    let operator = operator(world);
    let installed = operator.try_install(FIRST).await;
    assert_eq!(installed.status, 201, "{:#}", installed.json);
    assert_eq!(installed.json["contract"], "1.0.0");
    let first = installed.json["digest"].as_str().unwrap().to_owned();
    operator
        .activate(&first, json!({"force": true}))
        .await
        .good();
    assert_eq!(world.active("hubspot").digest(), first);
    assert_eq!(world.active("webhook").contract(), "1.1.0");

    let connection = world.connect(PORTAL).await;
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    world.put_users(json!([{"email": "ana@example.com"}])).await;
    let account = world.account(PORTAL);
    let contact = [("email", "ana@example.com"), ("jobtitle", "Cook")];
    let id = account.create("contacts", &contact).unwrap();
    world.settle().await;
    // Read, matched and filled.
    let title = async || pushed.values("ana@example.com").await["job_title"].clone();
    assert_eq!(title().await, "Cook");
    // What a delivery says is shown as it is.
    account
        .patch("contacts", id, &[("jobtitle", "Baker")])
        .unwrap();
    world.settle().await;
    assert_eq!(title().await, "Baker");
    let path = format!("/connections/{connection}/activity?outcome=updated");
    let activity = world.get(&path).await.good();
    assert_eq!(activity[0]["plugin"], json!(first), "{activity:#}");

    pushed.push(json!([seats(1, 4)])).await;
    assert_eq!(pushed.values("ana@example.com").await["seats"], 4.0);
    assert_eq!(pushed.set_aside().await, Vec::<String>::new());
}
