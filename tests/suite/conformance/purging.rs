//! What is kept of records that are nobody's any more, purged some rows at a time.

use jimo_connect::{
    model::{MappingId, ObjectType, Timestamp},
    store::reach::{Feed, KeptAssociation},
};

use super::store::{Kept, NOW};

/// Who is linked to a contact each, and fed by the company that all of these have.
const USERS: usize = 200;

/// Rows that are purged at once.
const PIECE: usize = 64;

#[tokio::test]
async fn however_many_rows_a_record_has_no_more_are_purged_at_once_than_are_asked_for() {
    let kept = Kept::new().await;
    let (project, connection) = (kept.project, kept.connection);
    let (contacts, companies): (ObjectType, ObjectType) = ("contacts".into(), "companies".into());
    let made = kept.write(move |tx| {
        let company = tx.ensure_record(connection, &companies, &"1".into())?.key;
        for number in 0..USERS {
            let id = number.to_string().as_str().into();
            let contact = tx.ensure_record(connection, &contacts, &id)?.key;
            let user = tx.create_user(project, None, None, None, NOW)?;
            tx.link(contact, user, 0)?;
            let association = KeptAssociation {
                to_record: company,
                primary: false,
                labels: Vec::new(),
            };
            tx.replace_associations(contact, &companies, 1, &[association])?;
            let feed = Feed {
                record: company,
                provisional_until: Timestamp::default(),
            };
            tx.set_feed(MappingId(1), user, Some(feed))?;
        }
        tx.delete_connection(connection)
    });
    made.await;
    let rows = || {
        let tables = [
            "records",
            "links",
            "associations",
            "association_registers",
            "feeds",
        ];
        let counts = tables.map(|table| kept.count(&format!("SELECT count(*) FROM {table}")));
        usize::try_from(counts.iter().sum::<i64>()).unwrap()
    };
    let mut left = rows();
    assert_eq!(left, 1 + 5 * USERS);
    loop {
        let removed = kept.write(|tx| tx.purge_records(PIECE)).await;
        let now_left = rows();
        assert_eq!(removed, left - now_left);
        assert!(removed <= PIECE, "{removed}");
        left = now_left;
        if removed == 0 {
            break;
        }
        // Whoever has to wait for it does so to the end.
        assert!(kept.read(|tx| tx.has_purges()).await);
    }
    assert_eq!(left, 0);
    assert!(!kept.read(|tx| tx.has_purges()).await);
}
