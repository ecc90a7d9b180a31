//! What every user store must do with reads that wait.

use jimo_connect::{
    model::{AccountId, Cause, Priority, RecordId, Timestamp},
    store::reads::{DueRead, ReadKey, ReadKind, Wanted},
};

use super::store::{Kept, NOW};

impl Kept {
    /// A contact to be read, by id.
    fn contact(&self, id: &str) -> ReadKey {
        ReadKey {
            account: self.account,
            object_type: "contacts".into(),
            wanted: Wanted::Record,
            record: id.into(),
        }
    }

    async fn request(&self, key: ReadKey, expected_at: i64, not_before: i64) {
        self.write(move |tx| {
            tx.request_read(
                &key,
                Cause::LIVE,
                Timestamp(expected_at),
                Timestamp(not_before),
            )
        })
        .await;
    }

    /// What is due of the kind that waits longest.
    async fn due_reads(&self, now: Timestamp, limit: usize) -> Vec<DueRead> {
        let account = self.account;
        let due = self.read(move |tx| match tx.next_read(account)? {
            Some((_, kind)) => tx.due_reads(account, &kind, now, limit),
            None => Ok(Vec::new()),
        });
        due.await
    }

    /// The ids of contacts that are due, with how often each was tried.
    async fn due(&self, now: i64, limit: usize) -> Vec<(RecordId, u32)> {
        let due = self.due_reads(Timestamp(now), limit).await;
        due.into_iter()
            .map(|read| (read.key.record, read.attempts))
            .collect()
    }
}

#[tokio::test]
async fn a_read_asked_for_twice_is_one_and_knows_of_both() {
    let kept = Kept::new().await;
    kept.request(kept.contact("7"), 20, 5).await;
    kept.request(kept.contact("7"), 10, 3).await;
    let account = kept.account;
    let due = kept.due_reads(Timestamp(9), 10).await;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].expected_at, Timestamp(20));
    let next = kept.read(move |tx| tx.next_read(account)).await;
    assert_eq!(next.map(|(moment, _)| moment), Some(Timestamp(3)));
}

#[tokio::test]
async fn an_answer_ends_only_what_was_asked_before_it_began() {
    let kept = Kept::new().await;
    let account = kept.account;
    kept.request(kept.contact("7"), 0, 0).await;
    let began = kept.due_reads(NOW, 10).await.remove(0);
    kept.request(kept.contact("7"), 0, 0).await;
    let read = began.clone();
    kept.write(move |tx| tx.finish_read(&read)).await;
    kept.write(move |tx| tx.put_off_read(&began, Timestamp(9_999), false))
        .await;
    assert_eq!(kept.due(NOW.0, 10).await, [("7".into(), 0)]);
    let again = kept.due_reads(NOW, 10).await.remove(0);
    kept.write(move |tx| tx.finish_read(&again)).await;
    assert_eq!(kept.read(move |tx| tx.waiting_reads(account)).await, 0);
}

#[tokio::test]
async fn due_reads_are_of_one_kind_longest_waiting_first_and_no_more_than_asked_for() {
    let kept = Kept::new().await;
    for (id, not_before) in [("10", 30), ("9", 20), ("8", 10), ("7", 5_000)] {
        kept.request(kept.contact(id), 0, not_before).await;
    }
    let mut associations = kept.contact("9");
    associations.wanted = Wanted::Associations("companies".into());
    kept.request(associations, 0, 15).await;
    let ids = [("8".into(), 0), ("9".into(), 0), ("10".into(), 0)];
    assert_eq!(kept.due(NOW.0, 10).await, ids);
    assert_eq!(kept.due(NOW.0, 2).await, ids[..2]);
    let account = kept.account;
    let first = kept.due_reads(NOW, 1).await.remove(0);
    kept.write(move |tx| tx.put_off_read(&first, Timestamp(2_000), false))
        .await;
    // What waits longest now is of the other kind.
    assert_eq!(kept.due(NOW.0, 10).await, [("9".into(), 0)]);
    assert!(kept.due(2_000, 10).await.contains(&("9".into(), 0)));
    let other = AccountId(account.0 + 1);
    assert_eq!(kept.read(move |tx| tx.next_read(other)).await, None);
}

#[tokio::test]
async fn kinds_of_reads_are_told_once_each_those_that_wait_longest_first_and_none_put_off() {
    let kept = Kept::new().await;
    let due = async |now: i64| kept.read(move |tx| tx.due_kinds(Timestamp(now))).await;
    assert_eq!(due(i64::MAX).await, []);
    let kind = |to_type: Option<&str>, priority| ReadKind {
        object_type: "contacts".into(),
        wanted: to_type.map_or(Wanted::Record, |to_type| {
            Wanted::Associations(to_type.into())
        }),
        priority,
    };
    let (third, ninth) = (AccountId(3), AccountId(9));
    let records = kind(None, Priority::Live);
    let companies = kind(Some("companies"), Priority::Live);
    let asked = [
        (ninth, &records, "1", 40),
        (ninth, &records, "2", 30),
        (third, &records, "1", 60),
        (third, &companies, "1", 10),
    ];
    for (account, kind, id, not_before) in asked {
        let mut key = kept.contact(id);
        (key.account, key.wanted) = (account, kind.wanted.clone());
        kept.request(key, 0, not_before).await;
    }
    let first = (third, companies.clone());
    let second = (ninth, records.clone());
    let last = (third, records.clone());
    assert_eq!(due(9).await, []);
    assert_eq!(due(10).await, std::slice::from_ref(&first));
    assert_eq!(due(59).await, [first.clone(), second.clone()]);
    assert_eq!(due(60).await, [first, second.clone(), last.clone()]);
    let is_due = async |(account, kind): &(AccountId, ReadKind), now: i64| {
        let (account, kind) = (*account, kind.clone());
        kept.read(move |tx| tx.is_due(account, &kind, Timestamp(now)))
            .await
    };
    assert!(!is_due(&second, 29).await);
    assert!(is_due(&second, 30).await);
    assert!(!is_due(&(ninth, companies.clone()), i64::MAX).await);
    // What may not be read for long is not due.
    kept.write(move |tx| tx.bar_reads(third, &companies, Timestamp(100)))
        .await;
    assert_eq!(due(60).await, [second.clone(), last.clone()]);
    let next = kept.read(move |tx| tx.next_read(third)).await;
    assert_eq!(next, Some((Timestamp(60), records)));
    kept.write(move |tx| tx.drop_reads(third)).await;
    assert_eq!(due(i64::MAX).await, [second]);
}

#[tokio::test]
async fn however_many_reads_are_due_all_their_kinds_are_told() {
    let kept = Kept::new().await;
    let accounts = async || {
        let due = kept.read(|tx| tx.due_kinds(NOW)).await.into_iter();
        due.map(|(account, _)| account.0).collect::<Vec<_>>()
    };
    let ask = async |account: i64, ids: std::ops::Range<i64>, not_before: i64| {
        let key = kept.contact("1");
        kept.write(move |tx| {
            for id in ids {
                let (account, record) = (AccountId(account), id.to_string().as_str().into());
                let key = ReadKey {
                    account,
                    record,
                    ..key.clone()
                };
                tx.request_read(&key, Cause::LIVE, NOW, Timestamp(not_before))?;
            }
            Ok(())
        })
        .await;
    };
    ask(1, 1..1_000, 1).await;
    ask(2, 1..2, NOW.0 + 1).await;
    assert_eq!(accounts().await, [1]);
    ask(3, 1..3, 2).await;
    assert_eq!(accounts().await, [1, 3]);
}
