//! Whose turn it is, by the whole of the pipeline: a flood of one account's, and what
//! others send meanwhile.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use harness::bare::BareHost;
use jimo_connect::{model::AccountId, plugin::EMBEDDED, store};
use tokio::{sync::oneshot, task::JoinHandle};

/// How long anything may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much later is answered who sends much at once.
const LATER: Duration = Duration::from_millis(250);

/// A creation of a contact, with so many bytes that mean nothing.
fn created(account: i64, record: usize, padding: usize) -> String {
    let padding = "x".repeat(padding);
    format!(
        r#"[{{"portalId":{account},"objectId":{record},"subscriptionType":"contact.creation","occurredAt":1,"sourceId":"{padding}"}}]"#
    )
}

/// How many reads were asked for before the first of an account.
fn before(host: &BareHost, account: AccountId) -> usize {
    let store = rusqlite::Connection::open(host.directory.path().join("store.sqlite")).unwrap();
    let sql = "SELECT account FROM reads ORDER BY requested";
    let mut statement = store.prepare(sql).unwrap();
    let asked = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    let mut asked = asked.map(Result::unwrap);
    asked.position(|of| of == account.0).unwrap()
}

/// A store in which nothing can be applied.
struct Held {
    release: mpsc::Sender<()>,
    holding: JoinHandle<Result<(), store::Error>>,
}

async fn hold(host: &BareHost) -> Held {
    let (release, released) = mpsc::channel();
    let (begin, begun) = oneshot::channel();
    let store = host.host.store.clone();
    let hold = async move {
        let hold = store.transact(move |_| {
            begin.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        });
        hold.await
    };
    let holding = tokio::spawn(hold);
    begun.await.unwrap();
    Held { release, holding }
}

impl Held {
    async fn release(self) {
        self.release.send(()).unwrap();
        self.holding.await.unwrap().unwrap();
    }
}

/// Waits until the plugin was asked so often.
async fn passes(host: &BareHost, count: u64) {
    let are_made = async {
        while host.active().tally().passes < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, are_made).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_in_the_log_behind_a_flood_waits_for_one_delivery_of_it_and_none_is_prepared_twice()
 {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    let other = host.connect("2", "city").await;
    // Each as large as a turn.
    let flood = (0..20).map(|record| (1, created(1, record, 33_000)));
    let all = flood.chain([(2, created(2, 100, 0))]);
    host.append(all).await;
    host.applied().await;
    assert!(before(&host, other) <= 1, "{}", before(&host, other));
    // While several are at work nothing is prepared that would have to wait.
    assert_eq!(host.active().tally().passes, 21);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_several_are_at_work_is_prepared_beside_what_is_being_applied() {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    host.connect("2", "city").await;
    let third = host.connect("3", "city").await;
    let held = hold(&host).await;
    let flood = (0..20).map(|record| (1, created(1, record, 33_000)));
    host.append(flood.chain([(2, created(2, 100, 0))])).await;
    // A turn of each, which waits for the store now.
    passes(&host, 2).await;
    assert_eq!(host.deliver(created(3, 200, 0)).await, 204);
    passes(&host, 3).await;
    held.release().await;
    host.applied().await;
    assert_eq!(before(&host, third), 2);
    // What was applied out of turn left the place behind.
    let place = host.host.store.read(|tx| tx.log_place()).await.unwrap();
    assert_eq!(place.up_to, *host.host.log.tail().borrow());
    assert!(place.ahead.is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_while_a_flood_is_applied_goes_before_what_is_prepared_of_it() {
    let host = BareHost::start(EMBEDDED).await;
    host.connect("1", "city").await;
    let other = host.connect("2", "city").await;
    let held = hold(&host).await;
    // More than two whole batches.
    host.append((0..25_000).map(|record| (1, created(1, record, 0))))
        .await;
    passes(&host, 2).await;
    assert_eq!(host.deliver(created(2, 30_000, 0)).await, 204);
    held.release().await;
    host.applied().await;
    let before = before(&host, other);
    assert!((10_000..11_000).contains(&before), "{before}");
    host.stop().await;
}

#[tokio::test]
async fn who_sends_much_while_others_are_at_work_is_answered_later_and_nobody_else_is() {
    let host = BareHost::start(EMBEDDED).await;
    let paced = || {
        let metrics = host.host.metrics.render();
        let lines = metrics.lines();
        let name = "jimo_connect_answers_paced_total ";
        let mut found = lines.filter_map(|line| line.strip_prefix(name)?.parse::<u64>().ok());
        found.next().unwrap()
    };
    // Half a second's worth.
    let much = created(1, 1, 4 << 20);
    assert_eq!(host.deliver(much.clone()).await, 204);
    assert_eq!(paced(), 0, "it is alone");
    assert_eq!(host.deliver(created(2, 1, 0)).await, 204);
    host.applied().await;
    assert_eq!(paced(), 0);
    let begun = Instant::now();
    assert_eq!(host.deliver(much).await, 204);
    assert!(begun.elapsed() >= LATER, "{:?}", begun.elapsed());
    let before = paced();
    assert_eq!(host.deliver(created(2, 2, 0)).await, 204);
    assert_eq!(paced(), before);
    host.stop().await;
}
