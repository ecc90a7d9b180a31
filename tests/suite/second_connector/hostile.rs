//! What a component tells of what was pushed, and must not.

use harness::{components::misbehaving_as, program::printed, world::World};
use serde_json::json;

use super::{
    ACCOUNT, Pushed, operator,
    versions::{cities, contact},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_pushed_reaches_nobody_by_a_key_that_it_does_not_hold() {
    let world = World::start().await;
    let digest = operator(&world)
        .run(misbehaving_as("webhook", "nothing"))
        .await;
    let pushed = Pushed { world, digest };
    let connection = pushed.connect(ACCOUNT).await;
    let path = format!("/connections/{connection}/mappings");
    pushed.world.put(&path, cities()).await.good();
    let (ana, other) = ("ana@example.com", "somebody.else@example.com");
    let users = json!([{"email": ana}, {"email": other}]);
    pushed.world.put_users(users).await;

    let mut foreign = contact(1, "Oslo");
    foreign["misbehave"] = json!("another's key");
    pushed.push(json!([foreign])).await;
    let aside = pushed.set_aside().await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(
        aside[0].contains("a match key that the element does not hold"),
        "{aside:?}"
    );
    for user in [ana, other] {
        assert_eq!(pushed.values(user).await, json!({}), "{user}");
    }
    let counted = r#"jimo_connect_plugin_faults_total{connector="webhook",kind="output"} "#;
    let metrics = pushed.metrics().await;
    assert!(metrics.contains(counted), "{metrics}");

    // The operator is told which connector's it is.
    let operator = operator(&pushed.world);
    let listed = operator.get("/set-aside").await.good();
    let one = &listed["set_aside"][0];
    assert_eq!(
        (&one["connector"], &one["account"]),
        (&json!("webhook"), &json!(ACCOUNT))
    );
    let listed = printed(pushed.world.directory.path(), &["log", "set-aside", "list"]);
    assert!(listed.contains("\twebhook\tacme\t"), "{listed}");

    pushed.push(json!([contact(2, "Lyon")])).await;
    assert_eq!(pushed.values(ana).await, json!({"city": "Lyon"}));
    assert_eq!(pushed.values(other).await, json!({}));
}
