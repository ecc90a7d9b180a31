//! What every user store must do with the choices of properties.

use jimo_connect::{
    model::{AccountId, Choice, OptionTable, Timestamp},
    store::{Store, choices::DueLabels},
};
use tempfile::TempDir;

/// A store with an account.
async fn store() -> (Store, TempDir, AccountId) {
    let directory = TempDir::new().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let account = store
        .transact(|tx| tx.save_account("hubspot", &"1".into(), None, None, None))
        .await
        .unwrap();
    (store, directory, account)
}

/// A table of one choice.
fn table(label: &str, closed: Option<bool>) -> OptionTable {
    let (value, label) = ("s".to_owned(), label.to_owned());
    OptionTable {
        choices: vec![Choice {
            value,
            label,
            closed,
        }],
    }
}

#[tokio::test]
async fn the_configuration_moves_only_where_choices_changed_and_a_later_read_is_kept() {
    let (store, _directory, account) = store().await;
    let save = async |table: OptionTable, at: i64| {
        let save = move |tx: &jimo_connect::store::Tx<'_>| {
            let (object_type, property) = ("deals".into(), "dealstage".into());
            let before = tx.configuration()?;
            let changed =
                tx.save_options(account, &object_type, &property, &table, Timestamp(at))?;
            let moved = tx.configuration()? > before;
            Ok((
                changed,
                moved,
                tx.options(account, &object_type, &property)?,
            ))
        };
        store.transact(save).await.unwrap()
    };
    let (open, closed) = (table("S", Some(false)), table("S", Some(true)));
    assert_eq!(
        save(open.clone(), 10).await,
        (true, true, Some(open.clone()))
    );
    assert_eq!(
        save(open.clone(), 30).await,
        (false, false, Some(open.clone()))
    );
    // It began before what is held was read, and ended later.
    assert_eq!(save(closed.clone(), 20).await, (false, false, Some(open)));
    assert_eq!(save(closed.clone(), 40).await, (true, true, Some(closed)));
    let renamed = table("T", Some(true));
    assert_eq!(save(renamed.clone(), 40).await, (true, true, Some(renamed)));
}

#[tokio::test]
async fn a_request_made_while_choices_are_read_is_not_answered_by_that_read() {
    let (store, _directory, account) = store().await;
    let ask = async || {
        store
            .transact(move |tx| tx.request_labels(account))
            .await
            .unwrap()
    };
    let waiting = async || store.read(|tx| tx.waiting_labels()).await.unwrap();
    let finish = async |due: DueLabels, at| {
        let finish = move |tx: &jimo_connect::store::Tx<'_>| {
            tx.finish_labels(&due, due.in_vain + 1, Timestamp(at))
        };
        store.transact(finish).await.unwrap();
    };
    assert_eq!(waiting().await, []);
    ask().await;
    ask().await;
    let [(at, first)] = waiting().await[..] else {
        panic!("one request");
    };
    assert_eq!(
        (at, first.account, first.in_vain),
        (Timestamp(0), account, 0)
    );
    ask().await;
    finish(first, 60).await;
    let [(at, second)] = waiting().await[..] else {
        panic!("one request");
    };
    assert!(second.requested > first.requested);
    assert_eq!((at, second.in_vain), (Timestamp(60), 1));
    finish(second, 90).await;
    assert_eq!(waiting().await, []);
    // What was learnt of it stays.
    ask().await;
    let [(at, third)] = waiting().await[..] else {
        panic!("one request");
    };
    assert_eq!((at, third.in_vain), (Timestamp(90), 2));
    store
        .transact(move |tx| tx.put_off_labels(&third, 3, Timestamp(200)))
        .await
        .unwrap();
    let put_off = DueLabels {
        in_vain: 3,
        ..third
    };
    assert_eq!(waiting().await, [(Timestamp(200), put_off)]);
}
