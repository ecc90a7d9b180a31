//! What a first reading shows before all of it is read is nobody's to lose: it goes
//! on, however many users show another record's values at its end. All else is lost
//! as ever meanwhile.

use hubspot_sim::Link;
use serde_json::json;

use super::{PORTAL, Staff, pair, staff};

const GOES_ON: &str = "DROP TRIGGER asked; DROP TRIGGER asked_again;
     UPDATE reads SET not_before = 0";

impl Staff {
    /// Gives each of them a deal of their own, in HubSpot.
    fn own_deals(&self, name: &str) -> Vec<u64> {
        self.pass(1);
        let account = self.world.account(PORTAL);
        let deals = self.contacts.iter().map(|contact| {
            let deal = account.create("deals", &[("dealname", name)]).unwrap();
            let (from, to) = (("contacts", *contact), ("deals", deal));
            account.associate(from, to, Link::Plain).unwrap();
            deal
        });
        deals.collect()
    }

    /// Gives all of them one deal, in HubSpot. Its reads are put off, as where HubSpot
    /// refuses them.
    async fn shared_deal(&self, name: &str) -> u64 {
        self.pass(1);
        let account = self.world.account(PORTAL);
        let deal = account.create("deals", &[("dealname", name)]).unwrap();
        for contact in &self.contacts {
            let (from, to) = (("contacts", *contact), ("deals", deal));
            account.associate(from, to, Link::Plain).unwrap();
        }
        let put_off = |name: &str, when: &str| {
            format!(
                "CREATE TRIGGER {name} AFTER {when} ON reads
                 WHEN new.record = {deal} AND new.to_type = 0
                 BEGIN UPDATE reads SET not_before = 9223372036854775807
                       WHERE record = {deal} AND to_type = 0; END;"
            )
        };
        let asked = put_off("asked", "INSERT");
        let again = put_off("asked_again", "UPDATE OF requested");
        self.world.tamper(&(asked + &again)).await;
        deal
    }

    /// That deal is read now.
    async fn is_read(&self, deal: u64) {
        self.world.tamper(GOES_ON).await;
        let sql = format!("SELECT count(*) FROM records WHERE record = {deal} AND filled");
        let is_read = async || {
            self.pass(1);
            self.world.count(&sql) == 1
        };
        self.world.until(is_read).await;
        self.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_that_is_read_later_takes_nothing_from_those_whom_another_fed_until_then() {
    let staff = staff(150).await;
    staff.own_deals("Own");
    let shared = staff.shared_deal("Shared").await;
    staff.map_deals("latest_created", false).await;
    assert_eq!((staff.shown("Own"), staff.shown("Shared")), (150, 0));
    staff.is_read(shared).await;
    assert_eq!((staff.shown("Own"), staff.shown("Shared")), (0, 150));
    assert!(staff.question().await.is_null());
    assert_eq!(staff.told().await, []);

    // All is read now: what changes from here on does take something.
    staff.own_deals("Later");
    staff.settle().await;
    let (before, later) = (staff.shown("Shared"), staff.shown("Later"));
    assert!(later <= 100 && before == 150 - later, "{before}, {later}");
    assert_eq!(staff.told().await, [pair("brake", "held")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_does_a_first_sync() {
    let staff = staff(150).await;
    staff.own_deals("Own");
    staff.shared_deal("Shared").await;
    staff.map_deals("latest_created", false).await;
    assert_eq!(staff.shown("Own"), 150);
    let started = staff
        .world
        .post(&staff.path("/syncs"), json!({"kind": "full"}))
        .await
        .good();
    let path = staff.path(&format!("/syncs/{}", started["id"].as_str().unwrap()));
    // What waits is the sync's to read from here on.
    let of_a_run = "SELECT count(*) FROM reads WHERE run IS NOT NULL
         AND not_before = 9223372036854775807";
    let is_asked = async || {
        staff.pass(1);
        staff.world.count(of_a_run) == 1
    };
    staff.world.until(is_asked).await;
    assert_eq!(staff.shown("Own"), 150);
    staff.world.tamper(GOES_ON).await;
    let is_over = async || {
        staff.pass(1);
        staff.world.get(&path).await.good()["status"] != "running"
    };
    staff.world.until(is_over).await;
    let run = staff.world.get(&path).await.good();
    assert_eq!(run["status"], "completed", "{run:#}");
    assert_eq!(run["counts"]["values"]["changed"], 150, "{run:#}");
    assert_eq!((staff.shown("Own"), staff.shown("Shared")), (0, 150));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanishes_is_lost_while_others_are_still_to_be_read() {
    let staff = staff(150).await;
    staff.own_deals("First");
    let second = staff.own_deals("Second");
    let shared = staff.shared_deal("Shared").await;
    staff.map_deals("latest_created", false).await;
    assert_eq!((staff.shown("First"), staff.shown("Second")), (0, 150));
    staff.pass(1);
    let account = staff.world.account(PORTAL);
    for deal in second {
        account.delete("deals", deal).unwrap();
    }
    staff.settle().await;
    let held = staff.shown("Second");
    assert!(held >= 50, "{held}");
    assert_eq!(staff.shown("First"), 150 - held);
    assert_eq!(staff.question().await["code"], "braked");

    // What is read then does not answer that.
    staff.is_read(shared).await;
    assert_eq!((staff.shown("First"), staff.shown("Second")), (0, held));
    assert_eq!(staff.question().await["code"], "braked");
    assert_eq!(staff.told().await, [pair("brake", "held")]);
    staff.go_on().await;
    assert_eq!((staff.shown("Second"), staff.shown("Shared")), (0, 150));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_selection_rule_takes_something_while_others_are_still_to_be_read() {
    let staff = staff(150).await;
    let first = staff.own_deals("First");
    staff.own_deals("Second");
    staff.shared_deal("Shared").await;
    staff.pass(1);
    let account = staff.world.account(PORTAL);
    for deal in first {
        account.patch("deals", deal, &[("amount", "9")]).unwrap();
    }
    staff.map_deals("latest_created", false).await;
    assert_eq!((staff.shown("First"), staff.shown("Second")), (0, 150));
    staff.map_deals("latest_modified", false).await;
    assert_eq!((staff.shown("First"), staff.shown("Second")), (0, 150));
    assert_eq!(staff.question().await["code"], "braked");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_a_day_later_takes_something() {
    let staff = staff(150).await;
    staff.own_deals("Own");
    staff.shared_deal("Shared").await;
    staff.map_deals("latest_created", false).await;
    assert_eq!(staff.shown("Own"), 150);
    let day_ago = "UPDATE feeds SET provisional_until = provisional_until - 24 * 3600000
         WHERE provisional_until > 0";
    staff.world.tamper(day_ago).await;
    staff.world.tamper(GOES_ON).await;
    let is_held = async || {
        staff.pass(1);
        !staff.question().await.is_null()
    };
    staff.world.until(is_held).await;
    staff.settle().await;
    assert!(staff.shown("Own") >= 50);
    assert_eq!(staff.told().await, [pair("brake", "held")]);
}
