//! A version that spins costs a batch seconds, not the time of each body.

use harness::{bare::BareHost, components::misbehaving_as};
use jimo_connect::plugin::Tally;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_bodies_that_a_plugin_runs_too_long_on_it_is_asked_for_a_few() {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    let account = host.connect("1", "city").await;
    let other = host.connect("2", "city").await;
    // The first is well, and so is the other account's.
    let bodies = (0..12).map(|record| {
        let how = if record == 0 { "nothing" } else { "spin" };
        let body = format!(r#"[{{"portalId":1,"objectId":{record},"misbehave":"{how}"}}]"#);
        (1, body)
    });
    let others = (2, r#"[{"portalId":2,"objectId":1}]"#.to_owned());
    host.append(bodies.chain([others])).await;
    host.applied().await;
    let aside = host.set_aside().await;
    let said = |what: &str| aside.iter().filter(|one| one.reason.contains(what)).count();
    assert_eq!(aside.len(), 11);
    assert_eq!(said("was stopped after"), 3, "{aside:?}");
    assert_eq!(said("was not asked: it was stopped on 3 other"), 8);
    assert_eq!(host.waiting_reads(account).await, 1);
    assert_eq!(host.waiting_reads(other).await, 1);
    // All together, twelve by themselves, and the other's. What it was not asked for
    // counts against it.
    let tally = Tally {
        passes: 14,
        failed: 12,
    };
    assert_eq!(host.active().tally(), tally);
    host.stop().await;
}
