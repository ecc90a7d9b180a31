//! What the metrics say of calls to HubSpot.

use harness::world::World;
use hubspot_sim::{Config, FaultRule, Limits, Route, Trouble};
use jimo_connect::clock::Clock;
use serde_json::json;

/// A world with a connection that maps contacts.
async fn mapped(limits: Limits) -> World {
    let config = Config {
        limits,
        ..Config::default()
    };
    let world = World::start_with(config, Clock::system()).await;
    let connection = world.connect(48_975_575).await;
    let fields = json!([{"property": "jobtitle", "variable": "job_title"}]);
    world
        .map(&connection, json!({"contacts": {"fields": fields}}))
        .await;
    world
}

async fn metrics(world: &World) -> String {
    let (status, text) = world.page(world.host().url("/metrics")).await;
    assert_eq!(status, 200);
    text
}

/// A metric's value, by its name and labels.
fn value(metrics: &str, name: &str) -> Option<f64> {
    let name = format!("jimo_connect_hubspot_{name} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_hubspot_are_counted_by_kind_and_outcome() {
    let limits = Limits {
        retry_after_seconds: Some(1),
        ..Limits::marketplace()
    };
    let world = mapped(limits).await;
    for trouble in [
        Trouble::Status(503),
        Trouble::TooManyRequests,
        Trouble::ResetBefore,
        Trouble::Status(400),
    ] {
        world.sim.inject(FaultRule::once(Route::BatchRead, trouble));
    }
    let account = world.account(48_975_575);
    let contact = [("email", "ana@example.com")];
    account.create("contacts", &contact).unwrap();
    world.settle().await;

    let metrics = metrics(&world).await;
    let mut sum = 0.0;
    for outcome in [
        "server_error",
        "rate_limited",
        "transport",
        "client_error",
        "ok",
    ] {
        let labels = format!("calls_total{{call=\"batch read\",outcome=\"{outcome}\"}}");
        assert_eq!(value(&metrics, &labels), Some(1.0), "{outcome}: {metrics}");
        sum += 1.0;
    }
    let timed = value(&metrics, "call_seconds_count{call=\"batch read\"}");
    assert_eq!(timed, Some(sum));
    for call in ["token", "account details", "properties"] {
        let labels = format!("calls_total{{call=\"{call}\",outcome=\"ok\"}}");
        assert_eq!(value(&metrics, &labels), Some(1.0), "{call}: {metrics}");
    }
    // The call after the 429 waited as it was told.
    let waited = value(&metrics, "turn_wait_seconds_sum{priority=\"live\"}");
    assert!(waited.unwrap() > 0.0, "{metrics}");
    assert!(!metrics.contains("48975575"), "no label names an account");
    assert_eq!(value(&metrics, "day_left_ratios{}"), None, "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_the_day_is_told_where_hubspot_tells_it() {
    let limits = Limits {
        per_day: Some(100),
        ..Limits::private_professional()
    };
    let world = mapped(limits).await;
    let told = async || {
        let metrics = metrics(&world).await;
        value(&metrics, "day_left_ratios{}").unwrap_or_else(|| panic!("{metrics}"))
    };
    let before = told().await;
    assert!(before > 0.9 && before < 1.0, "{before}");
    let account = world.account(48_975_575);
    let contact = [("email", "ana@example.com")];
    account.create("contacts", &contact).unwrap();
    world.settle().await;
    // One call of the 95 that we allow ourselves.
    let spent = before - told().await;
    assert!((spent - 1.0 / 95.0).abs() < 0.001, "{spent}");
}
