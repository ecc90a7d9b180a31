//! What takes values however many users they are of: what somebody has said in
//! as many words, and privacy.

use serde_json::json;

use super::{PORTAL, Staff, staff};

async fn nothing_is_held(staff: &Staff) {
    assert!(staff.question().await.is_null());
    assert_eq!(staff.told().await, []);
}

fn erase(staff: &Staff, contacts: &[u64]) {
    staff.pass(1);
    let account = staff.world.account(PORTAL);
    for contact in contacts {
        account.erase("contacts", *contact).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn privacy_deletions_are_never_held() {
    let staff = staff(150).await;
    erase(&staff, &staff.contacts[..140]);
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), 10);
    nothing_is_held(&staff).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_of_a_record_that_is_erased_goes_with_it() {
    let staff = staff(150).await;
    staff.delete(&staff.contacts[..140]);
    staff.settle().await;
    let left = staff.shown("Cook");
    assert!(left > 10);
    // Whoever still shows what one of them said.
    erase(&staff, &staff.contacts[..140]);
    staff.settle().await;
    assert_eq!((staff.shown("Cook"), staff.shown("Lyon")), (10, 10));
    staff.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_that_jimo_changes_are_not_held() {
    let staff = staff(150).await;
    let items: Vec<_> = (0..150)
        .map(|n| json!({"external_id": n.to_string(), "email": format!("user-{n}@example.com")}))
        .collect();
    // The same addresses, of other users; theirs are found by id then.
    staff.world.put_users(json!(items)).await;
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), 300);
    let moved: Vec<_> = (0..150)
        .map(|n| json!({"external_id": n.to_string(), "email": format!("gone-{n}@example.com")}))
        .collect();
    staff.world.put_users(json!(moved)).await;
    staff.settle().await;
    assert_eq!(staff.shown("Cook"), 150);
    nothing_is_held(&staff).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_says_is_cleared_is_cleared() {
    let staff = staff(150).await;
    let fields = json!([{"property": "city", "variable": "city"}]);
    let path = staff.path("/mappings?removed=clear");
    let mapped = json!({"contacts": {"fields": fields}});
    staff.world.put(&path, mapped).await.good();
    assert_eq!((staff.shown("Cook"), staff.shown("Lyon")), (0, 150));
    let rule = json!({"property": "email", "user": "external_id"});
    let mapped = json!({"contacts": {"matching": rule, "fields": fields}});
    staff.world.put(&path, mapped).await.good();
    assert_eq!(staff.shown("Lyon"), 0);
    nothing_is_held(&staff).await;
}
