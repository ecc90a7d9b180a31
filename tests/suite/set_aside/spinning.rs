//! A version that spins costs others seconds, not the time of each body; and nothing is
//! set aside that it was not asked for, but for what cannot be parted.

use harness::{bare::BareHost, components::misbehaving_as};
use jimo_connect::plugin::Tally;

fn body(account: u32, record: u32, how: &str) -> String {
    format!(r#"{{"portalId":{account},"objectId":{record},"misbehave":"{how}"}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_on_which_a_plugin_runs_too_long_are_parted_from_the_others() {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    let mut accounts = Vec::new();
    for account in ["1", "2", "3"] {
        accounts.push(host.connect(account, "city").await);
    }
    let spins = [(1, 1), (1, 2), (2, 1), (2, 2)];
    let spins = spins.map(|(account, record)| (account, body(account, record, "spin")));
    let well = [(1, body(1, 3, "nothing")), (3, body(3, 1, "nothing"))];
    let bodies = spins.into_iter().chain(well);
    let bodies = bodies.map(|(account, body)| (i64::from(account), format!("[{body}]")));
    host.append(bodies).await;
    host.applied().await;
    let aside = host.set_aside().await;
    let stopped = aside
        .iter()
        .filter(|one| one.reason.contains("was stopped after"));
    assert_eq!((aside.len(), stopped.count()), (4, 4), "{aside:?}");
    for (account, reads) in accounts.iter().zip([1, 0, 1]) {
        assert_eq!(host.waiting_reads(*account).await, reads, "{account:?}");
    }
    // Together: all of the first account's, its two, and the third; all of the second's,
    // and one of its two, which is as long as others wait. Then each of the four twice,
    // for one stop may be chance, and the other two.
    let tally = Tally {
        passes: 6 + 8 + 2,
        failed: 5 + 8,
    };
    assert_eq!(host.active().tally(), tally);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_delivery_that_a_plugin_runs_too_long_on_again_and_again_the_rest_is_not_asked() {
    let host = BareHost::start(&misbehaving_as("hubspot", "nothing")).await;
    for account in ["1", "2", "3", "4"] {
        host.connect(account, "city").await;
    }
    let events = (1..=4).map(|account| body(account, 1, "spin"));
    let events: Vec<String> = events.collect();
    let other = format!("[{}]", body(4, 2, "nothing"));
    let delivery = format!("[{}]", events.join(","));
    host.append([(1, delivery), (4, other)].into_iter()).await;
    host.applied().await;
    let aside = host.set_aside().await;
    let said = |what: &str| aside.iter().filter(|one| one.reason.contains(what)).count();
    assert_eq!(aside.len(), 4, "{aside:?}");
    assert_eq!(said("was stopped after"), 2, "{aside:?}");
    assert_eq!(said("was not asked"), 2, "{aside:?}");
    host.stop().await;
}
