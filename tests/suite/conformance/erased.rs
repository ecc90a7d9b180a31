//! Records that were erased lately, as they are known from one moment to the next.

use std::sync::Arc;

use jimo_connect::{log::Position, model::Timestamp, pipeline::routing::Routing};

use super::store::Kept;

#[tokio::test]
async fn what_is_erased_later_is_known_and_what_is_let_go_of_is_not() {
    let kept = Kept::new().await;
    let connection = kept.connection;
    let erase = async |record: &'static str, at| {
        let erasing = kept.write(move |tx| {
            let of = ("hubspot", &"1".into());
            tx.add_erasure(of, &record.into(), Position::default(), Timestamp(at))
        });
        erasing.await;
    };
    let let_go = async |before| {
        let letting_go = kept.write(move |tx| {
            tx.finish_erasures(&["hubspot".to_owned()], i64::MAX)?;
            tx.trim_erasures(Timestamp(before))
        });
        letting_go.await;
    };
    let renew = async |routing: &Routing| {
        let known = routing.clone();
        kept.read(move |tx| known.renewed(tx)).await.unwrap()
    };
    let known = |routing: &Routing| {
        let of_connector = routing.erased.of("hubspot");
        let of_account = of_connector.and_then(|erased| erased.of(&"1".into()));
        let records = of_account.into_iter().flatten();
        let mut records: Vec<String> = records.map(ToString::to_string).collect();
        records.sort();
        records
    };
    erase("1", 1).await;
    erase("2", 2).await;
    let before = kept.read(Routing::load).await;
    erase("3", 3).await;
    let after = renew(&before).await;
    assert_eq!(known(&after), ["1", "2", "3"]);
    // Who works by what was known goes on by that.
    assert_eq!(known(&before), ["1", "2"]);
    // Of another configuration nothing of it is read again.
    kept.write(move |tx| tx.mappings_saved(connection)).await;
    let same = renew(&after).await;
    assert!(Arc::ptr_eq(&same.erased, &after.erased));

    let_go(3).await;
    erase("4", 4).await;
    let after = renew(&same).await;
    assert_eq!(known(&after), ["3", "4"]);
    assert_eq!(after.erased.newest, 4);
    let_go(5).await;
    let after = renew(&after).await;
    assert_eq!(known(&after), [""; 0]);
    erase("5", 5).await;
    assert_eq!(known(&renew(&after).await), ["5"]);
}
