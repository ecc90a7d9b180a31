//! Where alerts may go, and what a test of them says.

use harness::{
    receivers::{HttpReceiver, MailReceiver},
    world::World,
};
use jimo_connect::config::AlertsConfig;
use serde_json::json;

use super::{PORTAL, Told};

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_what_came_back() {
    let told = Told::start().await;
    let path = told.path(&format!("/alert-channels/{}/test", told.channel));
    let sent = told.world.post(&path, json!({})).await.good();
    assert_eq!(sent["sent"], true, "{sent:#}");
    let request = told.receiver.wait_for(1).await.remove(0);
    assert_eq!(request.json()["state"], "test");

    // Whoever it goes to may not have asked for it.
    told.pass(29);
    let refused = told.world.post(&path, json!({})).await.problem(409);
    assert!(
        refused["detail"].as_str().unwrap().contains("moments ago"),
        "{refused:#}"
    );
    assert_eq!(told.receiver.requests().len(), 1);
    told.pass(1);
    told.receiver.answer(403);
    let sent = told.world.post(&path, json!({})).await.good();
    assert_eq!(sent["sent"], false);
    let answer = sent["answer"].as_str().unwrap();
    assert!(
        answer.contains("403") && answer.contains("no, thank you"),
        "{answer}"
    );

    // Nobody is led elsewhere.
    told.receiver.answer(307);
    told.pass(30);
    let sent = told.world.post(&path, json!({})).await.good();
    assert_eq!(sent["sent"], false);
    assert!(
        sent["answer"]
            .as_str()
            .unwrap()
            .contains("Redirects are not followed")
    );
    let paths = told.receiver.requests();
    assert!(paths.iter().all(|one| one.path.starts_with("/alerts")));
    let held = told.world.get(&told.path("/alert-channels")).await.good();
    assert_eq!(held["channels"][0]["last"]["sent"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_go_through_the_operators_server() {
    let mut world = World::start().await;
    let connection = world.connect(PORTAL).await;
    let path = format!("/connections/{connection}/alert-channels");
    let new = json!({"kind": "email", "to": "ops@example.com"});
    let refused = world.post(&path, new.clone()).await.problem(422);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("JIMO_SMTP_URL")
    );

    let mails = MailReceiver::start().await;
    world.alerts = AlertsConfig {
        smtp_url: Some(mails.url.as_str().into()),
        mail_from: Some("Jimo <jimo@northwind.example>".into()),
        ..world.alerts
    };
    world.restart().await;
    let bad = json!({"kind": "email", "to": "ops"});
    assert_eq!(world.post(&path, bad).await.pointers(), ["/to"]);
    let added = world.post(&path, new).await.good();
    assert!(added.get("secret").is_none());
    let id = added["id"].as_str().unwrap();
    let sent = world
        .post(&format!("{path}/{id}/test"), json!({}))
        .await
        .good();
    assert_eq!(sent["sent"], true, "{sent:#}");
    let mail = mails.wait_for(1).await.remove(0);
    assert_eq!(mail.from, "jimo@northwind.example");
    assert_eq!(mail.to, ["ops@example.com"]);
    assert!(mail.data.contains("Subject: HubSpot"), "{}", mail.data);
    assert!(mail.data.contains("a test of your alerts"), "{}", mail.data);
    assert!(
        mail.data.contains("/settings/integrations/"),
        "{}",
        mail.data
    );

    world.account(PORTAL).uninstall();
    let properties = format!("/connections/{connection}/properties?object_type=contacts");
    world.get(&properties).await;
    let mail = mails.wait_for(2).await.remove(1);
    assert!(mail.data.contains("access was revoked"), "{}", mail.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_private_network_is_called_unless_it_may() {
    let mut world = World::start().await;
    let connection = world.connect(PORTAL).await;
    let path = format!("/connections/{connection}/alert-channels");
    // Added while it may be called.
    let receiver = HttpReceiver::start().await;
    let port = receiver.url.rsplit(':').next().unwrap().to_owned();
    let by_name = format!("http://localhost:{port}/alerts");
    let mut ids = Vec::new();
    for to in [&receiver.url, &by_name] {
        let added = world
            .post(&path, json!({"kind": "webhook", "to": to}))
            .await
            .good();
        ids.push(added["id"].as_str().unwrap().to_owned());
    }
    world.alerts.to_private_networks = false;
    world.restart().await;
    for id in ids {
        let sent = world
            .post(&format!("{path}/{id}/test"), json!({}))
            .await
            .good();
        assert_eq!(sent["sent"], false, "{sent:#}");
        assert!(
            sent["answer"].as_str().unwrap().contains("private network"),
            "{sent:#}"
        );
    }
    assert!(receiver.requests().is_empty());
    for (kind, to) in [
        ("webhook", receiver.url.as_str()),
        ("webhook", "https://169.254.169.254/latest/meta-data"),
        ("webhook", "https://[::1]/"),
        ("webhook", "https://ana:secret@example.com/"),
        ("webhook", "nonsense"),
        ("slack", "https://example.com/services/T0/B0/x"),
    ] {
        let answer = world.post(&path, json!({"kind": kind, "to": to})).await;
        assert_eq!(answer.pointers(), ["/to"], "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_secrets_are_sealed_and_there_are_few_channels() {
    let told = Told::start().await;
    let path = told.path("/alert-channels");
    for _ in 0..9 {
        let new = json!({"kind": "webhook", "to": told.receiver.url});
        told.world.post(&path, new).await.good();
    }
    let new = json!({"kind": "webhook", "to": told.receiver.url});
    told.world.post(&path, new).await.problem(409);
    let directory = told.world.directory.path();
    for name in ["store.sqlite", "store.sqlite-wal"] {
        let bytes = std::fs::read(directory.join(name)).unwrap();
        for secret in [told.secret.expose(), "key=hidden"] {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{name} holds {secret}");
        }
    }
}
