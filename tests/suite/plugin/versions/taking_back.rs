//! Versions that fail too often: what counts against them, and who goes back.

use std::sync::Arc;

use harness::{
    bare::{BareHost, client},
    components::misbehaving_as,
};
use jimo_connect::{
    model::{AccountId, ObjectType},
    pipeline::{associations::prepare_associations, pages::prepare_records, routing::AccountRoute},
    plugin::{EMBEDDED, Serving, Tally, digest},
    store::connections::Account,
};
use serde_json::json;

use super::{
    super::{RECEIVED_AT, engine},
    Api, created, send_until, trapping, until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_fails_too_often_is_taken_back_and_what_it_set_aside_is_done() {
    let host = BareHost::start(EMBEDDED).await;
    let account = host.connect("1", "city").await;
    let api = Api::of(&host).await;
    let bad = api.activate(misbehaving_as("hubspot", "nothing")).await;
    let is_taken_back = async || host.active().digest() != bad;
    let sent = send_until(&host, trapping, is_taken_back).await;
    assert!(sent >= 20, "after {sent} deliveries alone");
    assert_eq!(host.active().digest(), digest(EMBEDDED));
    until(async || host.set_aside().await.is_empty()).await;
    assert_eq!(
        host.waiting_reads(account).await,
        i64::try_from(sent).unwrap()
    );

    let (_, listed) = api.get("/plugins").await;
    let last = &listed["activations"][0];
    assert_eq!(last["why"], "automatic");
    assert_eq!(
        (&last["before"], &last["digest"]),
        (&json!(bad), &json!(digest(EMBEDDED)))
    );
    assert!(
        last["reason"].as_str().unwrap().contains("passes failed"),
        "{last}"
    );
    let metrics = client()
        .get(host.host.url("/metrics"))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let counted = r#"jimo_connect_plugin_switches_total{why="automatic"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_spins_on_many_bodies_of_one_account_is_taken_back_after_a_few() {
    let host = BareHost::start(EMBEDDED).await;
    let account = host.connect("1", "city").await;
    let api = Api::of(&host).await;
    let bad = api.activate(misbehaving_as("hubspot", "nothing")).await;
    // Enough that a few say something.
    for record in 101..=116 {
        host.deliver(format!("[{}]", created(record))).await;
        host.applied().await;
    }
    let spins = |record| created(record).replace('}', r#","misbehave":"spin"}"#);
    let bodies = (1..=60).map(|record| (1, format!("[{}]", spins(record))));
    host.append(bodies).await;
    until(async || host.active().digest() != bad).await;
    assert_eq!(host.active().digest(), digest(EMBEDDED));
    host.applied().await;
    until(async || host.set_aside().await.is_empty()).await;
    assert_eq!(host.waiting_reads(account).await, 76);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_looks_for_events_where_none_stand_is_taken_back() {
    let host = BareHost::start(EMBEDDED).await;
    let account = host.connect("1", "city").await;
    let api = Api::of(&host).await;
    let elsewhere = misbehaving_as("hubspot", "look elsewhere");
    let bad = api.activate(elsewhere).await;
    // What is no JSON is the doing of whoever sent it.
    for _ in 0..25 {
        assert_eq!(host.deliver(r#"[{"portalId":1},]"#).await, 204);
        host.applied().await;
    }
    assert_eq!(host.active().tally(), Tally::default());
    let is_taken_back = async || host.active().digest() != bad;
    let sent = send_until(&host, created, is_taken_back).await;
    assert_eq!(host.active().digest(), digest(EMBEDDED));
    until(async || host.set_aside().await.len() == 25).await;
    assert_eq!(
        host.waiting_reads(account).await,
        i64::try_from(sent).unwrap()
    );
    host.stop().await;
}

#[test]
fn an_answer_without_what_a_version_looks_for_counts_against_it() {
    let version = Arc::new(engine().load(EMBEDDED).unwrap());
    let serving = Serving::alone(version.clone());
    let account = Account {
        connector: "hubspot".into(),
        id: AccountId(1),
        key: "1".into(),
        domain: None,
        region: None,
        time_zone: None,
        configuration: 0,
    };
    let account = AccountRoute::of(&account, Vec::new(), true);
    let (contacts, companies) = (ObjectType::from("contacts"), ObjectType::from("companies"));
    for (answer, passes, failed) in [
        // Cut short on the way.
        (r#"{"results":[]"#, 0, 0),
        (r#"{"others":[]}"#, 2, 2),
        (r#"{"results":[]}"#, 4, 2),
    ] {
        let body = answer.as_bytes();
        let records = prepare_records(&account, &serving, &contacts, body, RECEIVED_AT);
        let associations = prepare_associations(&version, &contacts, &companies, body, RECEIVED_AT);
        let is_read = (records.is_ok(), associations.is_ok());
        assert_eq!(is_read, (passes > failed, passes > failed), "{answer}");
        assert_eq!(version.tally(), Tally { passes, failed }, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_worked_on_again_in_vain_does_not_count_against_a_version() {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    let api = Api::of(&host).await;
    let other = api.activate(misbehaving_as("hubspot", "nothing")).await;
    assert_eq!(host.deliver(format!("[{}]", trapping(1))).await, 204);
    // What is prepared while others come may be prepared again, and counts again.
    host.applied().await;
    // Of nobody, as where the description looked elsewhere.
    assert_eq!(host.deliver(r#"[{"objectId":1}]"#).await, 204);
    host.applied().await;
    let once = Tally {
        passes: 2,
        failed: 2,
    };
    assert_eq!(host.active().tally(), once);
    for _ in 0..3 {
        let (status, told) = api.post("/set-aside/replay", json!({})).await;
        assert_eq!((status, &told["stayed"]), (200, &json!(2)), "{told}");
    }
    assert_eq!(host.active().digest(), other);
    assert_eq!(host.active().tally(), once);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_watched_on_after_a_restart() {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    let bad = Api::of(&host)
        .await
        .activate(misbehaving_as("hubspot", "nothing"))
        .await;
    let host = BareHost::start_in(host.stop().await, EMBEDDED).await;
    assert_eq!(host.active().digest(), bad);
    let is_taken_back = async || host.active().digest() != bad;
    send_until(&host, trapping, is_taken_back).await;
    assert_eq!(host.active().digest(), digest(EMBEDDED));
    until(async || host.set_aside().await.is_empty()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_version_set_aside_is_done_where_the_host_ended_right_after_it_went_back() {
    let host = BareHost::start(EMBEDDED).await;
    let account = host.connect("1", "city").await;
    let bad = Api::of(&host)
        .await
        .activate(misbehaving_as("hubspot", "nothing"))
        .await;
    for record in 1..=3 {
        assert_eq!(host.deliver(format!("[{}]", trapping(record))).await, 204);
    }
    host.applied().await;
    assert_eq!(host.set_aside().await.len(), 3);
    let directory = host.stop().await;
    // All that is in the store by then: the switch back is one transaction.
    let store = rusqlite::Connection::open(directory.path().join("store.sqlite")).unwrap();
    let back = "INSERT INTO plugin_activations (connector, digest, before, at, by, why, reason)
         SELECT connector, before, digest, at + 1, 'the host', 'automatic', 'a test'
         FROM plugin_activations WHERE digest = ?1";
    assert_eq!(store.execute(back, [&bad]).unwrap(), 1);
    drop(store);
    let host = BareHost::start_in(directory, EMBEDDED).await;
    assert_eq!(host.active().digest(), digest(EMBEDDED));
    until(async || host.set_aside().await.is_empty()).await;
    assert_eq!(host.waiting_reads(account).await, 3);
    host.stop().await;
}

#[tokio::test]
async fn one_bad_body_takes_no_version_back() {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    let api = Api::of(&host).await;
    let other = api.activate(misbehaving_as("hubspot", "nothing")).await;
    let well = r#"{"portalId":1,"objectId":7}"#;
    for delivery in 0..30 {
        let body = if delivery == 20 {
            trapping(1)
        } else {
            well.to_owned()
        };
        assert_eq!(host.deliver(format!("[{body}]")).await, 204);
        host.applied().await;
    }
    // Asked for after all that, and made by the same task.
    let (status, _) = api
        .post("/plugins/rollback", json!({"reason": "to look"}))
        .await;
    assert_eq!(status, 200);
    let (_, listed) = api.get("/plugins").await;
    let whys = listed["activations"].as_array().unwrap().iter();
    let whys: Vec<_> = whys.map(|one| one["why"].as_str().unwrap()).collect();
    assert_eq!(whys, ["rollback", "operator"]);
    assert_eq!(listed["activations"][0]["before"], other);
    host.stop().await;
}
