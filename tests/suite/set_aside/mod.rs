//! What cannot be worked on is set aside with its bytes and the reason, holds up
//! nothing beside it, and is worked on again when somebody says so.

mod replays;
mod spinning;
mod unreadable;

use harness::{bare::BareHost, components::misbehaving_as};
use jimo_connect::plugin::EMBEDDED;

const WELL: &str = r#"{"portalId":1,"objectId":2}"#;

/// Delivers an element that misbehaves, with well-behaved ones beside it in
/// another delivery and of another account, and returns the reason it was set
/// aside for.
async fn reason(misbehave: &str) -> String {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    let account = host.connect("1", "city").await;
    let other = host.connect("2", "city").await;
    let bad = format!(r#"{{"portalId":1,"objectId":3,"misbehave":"{misbehave}"}}"#);
    let other_element = r#"{"portalId":2,"objectId":2}"#;
    assert_eq!(host.deliver(format!("[{bad},{other_element}]")).await, 204);
    assert_eq!(host.deliver(format!("[{WELL}]")).await, 204);
    host.applied().await;
    let aside = host.set_aside().await;
    assert_eq!(aside.len(), 1, "{misbehave}");
    assert_eq!(aside[0].body, format!("[{bad}]").as_bytes(), "{misbehave}");
    assert_eq!(aside[0].account, Some("1".into()), "{misbehave}");
    assert!(aside[0].plugin.is_some(), "{misbehave}");
    // The neighbours were told of: unknown records, which are to be read.
    assert_eq!(host.waiting_reads(account).await, 1, "beside {misbehave}");
    assert_eq!(host.waiting_reads(other).await, 1, "beside {misbehave}");
    host.stop().await;
    aside[0].reason.clone()
}

#[tokio::test]
async fn a_plugin_that_traps_fails_that_body_alone() {
    assert!(reason("trap").await.contains("trapped"));
}

#[tokio::test]
async fn a_plugin_that_spins_is_stopped() {
    assert!(reason("spin").await.contains("stopped after"));
}

#[tokio::test]
async fn a_plugin_that_hoards_memory_is_refused_more() {
    assert!(reason("hoard").await.contains("memory"));
}

#[tokio::test]
async fn a_plugin_that_talks_nonsense_is_not_believed() {
    for nonsense in [
        "foreign element",
        "foreign type",
        "foreign property",
        "no calendar",
    ] {
        assert!(reason(nonsense).await.contains("nonsense"), "{nonsense}");
    }
}

#[tokio::test]
async fn a_plugin_cannot_speak_of_records_it_was_not_given() {
    assert!(reason("foreign record").await.contains("nonsense"));
}

#[tokio::test]
async fn an_event_that_the_plugin_refuses_is_set_aside_alone() {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    let account = host.connect("1", "city").await;
    let bad = r#"{"portalId":1,"objectId":3,"misbehave":"refuse"}"#;
    host.deliver(format!("[{WELL},{bad}]")).await;
    host.applied().await;
    let aside = host.set_aside().await;
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].body, format!("[{bad}]").as_bytes());
    assert!(
        !aside[0].reason.contains(char::is_control),
        "{:?}",
        aside[0].reason
    );
    assert_eq!(host.waiting_reads(account).await, 1);
    host.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_and_an_event_without_an_account_are_set_aside_by_the_host() {
    let host = BareHost::start(EMBEDDED).await;
    let account = host.connect("1", "city").await;
    let broken = r#"[{"portalId":1,]"#;
    let nobodys = r#"{"objectId":5,"subscriptionType":"contact.creation","occurredAt":1}"#;
    let well =
        r#"{"portalId":1,"objectId":2,"subscriptionType":"contact.creation","occurredAt":1}"#;
    for body in [broken.to_owned(), format!("[{nobodys},{well}]")] {
        assert_eq!(host.deliver(body).await, 204);
    }
    host.applied().await;
    let aside = host.set_aside().await;
    assert_eq!(aside.len(), 2);
    assert_eq!(aside[0].body, broken.as_bytes());
    assert_eq!(aside[1].body, format!("[{nobodys}]").as_bytes());
    assert_eq!(host.waiting_reads(account).await, 1);
    host.stop().await;
}

#[tokio::test]
async fn one_body_may_mix_accounts_and_each_gets_its_own() {
    let host = BareHost::start(EMBEDDED).await;
    let (one, two) = (
        host.connect("1", "city").await,
        host.connect("2", "city").await,
    );
    let event = |account: u32, record: u32| {
        format!(
            r#"{{"portalId":{account},"objectId":{record},"subscriptionType":"contact.creation","occurredAt":1}}"#
        )
    };
    host.deliver(format!("[{},{},{}]", event(1, 7), event(2, 7), event(2, 8)))
        .await;
    host.applied().await;
    assert_eq!(host.waiting_reads(one).await, 1);
    assert_eq!(host.waiting_reads(two).await, 2);
    host.stop().await;
}

#[tokio::test]
async fn a_delivery_larger_than_a_pass_is_worked_on_in_parts() {
    let host = BareHost::start(EMBEDDED).await;
    let account = host.connect("1", "city").await;
    let padding = "x".repeat(64 * 1024);
    let events: Vec<_> = (1..=100)
        .map(|record| {
            format!(
                r#"{{"portalId":1,"objectId":{record},"subscriptionType":"contact.creation","occurredAt":1,"sourceId":"{padding}"}}"#
            )
        })
        .collect();
    assert_eq!(host.deliver(format!("[{}]", events.join(","))).await, 204);
    host.applied().await;
    assert_eq!(host.set_aside().await, []);
    assert_eq!(host.waiting_reads(account).await, 100);
    host.stop().await;
}

#[tokio::test]
async fn a_flood_of_nothing_is_set_aside_as_one() {
    let host = BareHost::start(EMBEDDED).await;
    let many = format!("[{}1]", "1,".repeat(200_000));
    assert_eq!(host.deliver(many.clone()).await, 204);
    assert_eq!(host.deliver("[1,2,3]").await, 204);
    host.applied().await;
    let aside = host.set_aside().await;
    assert_eq!(aside.len(), 2);
    assert_eq!(aside[0].body, many.as_bytes());
    assert_eq!(aside[1].body, b"[1,2,3]");
    host.stop().await;
}
