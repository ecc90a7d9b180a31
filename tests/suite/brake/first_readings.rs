//! What a first reading shows before all of it is read is nobody's to lose: it goes
//! on, however many users show another record's values at its end.

use hubspot_sim::Link;

use super::{PORTAL, Staff, pair, staff};

impl Staff {
    /// Gives each of them a deal of their own, in HubSpot.
    fn own_deals(&self, name: &str) {
        self.pass(1);
        let account = self.world.account(PORTAL);
        for contact in &self.contacts {
            let deal = account.create("deals", &[("dealname", name)]).unwrap();
            let (from, to) = (("contacts", *contact), ("deals", deal));
            account.associate(from, to, Link::Plain).unwrap();
        }
    }

    /// Gives all of them one deal, in HubSpot.
    fn shared_deal(&self, name: &str) {
        self.pass(1);
        let account = self.world.account(PORTAL);
        let deal = account.create("deals", &[("dealname", name)]).unwrap();
        for contact in &self.contacts {
            let (from, to) = (("contacts", *contact), ("deals", deal));
            account.associate(from, to, Link::Plain).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_that_is_read_later_takes_nothing_from_those_whom_another_fed_until_then() {
    let staff = staff(150).await;
    staff.own_deals("Own");
    staff.shared_deal("Shared");
    // Only one read is asked for again and again while it waits. It is put off, as where
    // HubSpot refuses it.
    let put_off = "CREATE TRIGGER put_off AFTER UPDATE OF requested ON reads
         WHEN new.to_type = 0 AND new.requested > old.requested
         BEGIN UPDATE reads SET not_before = 9223372036854775807
               WHERE account = new.account AND object_type = new.object_type
                 AND to_type = 0 AND record = new.record; END";
    staff.world.tamper(put_off).await;
    staff.map_deals("latest_created", false).await;
    assert_eq!((staff.shown("Own"), staff.shown("Shared")), (150, 0));
    let goes_on = "DROP TRIGGER put_off; UPDATE reads SET not_before = 0";
    staff.world.tamper(goes_on).await;
    let is_read = async || {
        staff.pass(1);
        staff.shown("Shared") > 0
    };
    staff.world.until(is_read).await;
    staff.settle().await;
    assert_eq!((staff.shown("Own"), staff.shown("Shared")), (0, 150));
    assert!(staff.question().await.is_null());
    assert_eq!(staff.told().await, []);

    // All is read now: what changes from here on does take something.
    staff.own_deals("Later");
    staff.settle().await;
    let (shared, later) = (staff.shown("Shared"), staff.shown("Later"));
    assert!(later <= 100 && shared == 150 - later, "{shared}, {later}");
    assert_eq!(staff.told().await, [pair("brake", "held")]);
}
