//! A matching rule that changes: what was found by the old one is let go of at once, and
//! what the new one finds fills as it changes, as if it were mapped for the first time.

use harness::{bare, world::World};
use hubspot_sim::{Link, PropertySpec, Route};
use jimo_connect::{
    intake,
    model::{ConnectionId, RecordId},
    store::records::RecordKey,
};
use serde_json::{Value, json};

const PORTAL: u64 = 1_001;

fn mappings(property: &str, user: &str) -> Value {
    json!({
        "contacts": {
            "matching": {"property": property, "user": user},
            "fields": [
                {"property": "jobtitle", "variable": "job_title"},
                {"property": "city", "variable": "city"},
            ],
        },
        "companies": {"fields": [{"property": "industry", "variable": "industry"}]},
    })
}

fn by_email() -> Value {
    mappings("email", "email")
}

fn by_number() -> Value {
    mappings("customer_no", "external_id")
}

/// Two users, a contact that has the e-mail address of the first and the number of the
/// second, and its company; mapped by the e-mail address, and settled.
struct Changed {
    world: World,
    connection: String,
    ana: String,
    ben: String,
    contact: u64,
    company: u64,
}

impl Changed {
    async fn start() -> Self {
        let world = World::start().await;
        let connection = world.connect(PORTAL).await;
        let account = world.account(PORTAL);
        let number = PropertySpec::text("customer_no");
        account.define("contacts", number).unwrap();
        let _ = world
            .sim
            .subscribe("contact.propertyChange", Some("customer_no"));
        let _ = world.sim.subscribe("contact.propertyChange", Some("city"));
        let users = json!([
            {"external_id": "1", "email": "ana@example.com"},
            {"external_id": "2", "email": "ben@example.com"},
        ]);
        let mut users = world.put_users(users).await.into_iter();
        let [ana, ben] = [(); 2].map(|()| users.next().unwrap());
        world.map(&connection, by_email()).await;
        let values = [
            ("email", "ana@example.com"),
            ("customer_no", "2"),
            ("jobtitle", "Cook"),
            ("city", "Lyon"),
        ];
        let contact = account.create("contacts", &values).unwrap();
        let company = account
            .create("companies", &[("industry", "BIOTECHNOLOGY")])
            .unwrap();
        let (from, to) = (("contacts", contact), ("companies", company));
        account.associate(from, to, Link::Primary).unwrap();
        world.settle().await;
        let all = json!({"job_title": "Cook", "city": "Lyon", "industry": "BIOTECHNOLOGY"});
        assert_eq!(world.values(&ana).await, all);
        Self {
            world,
            connection,
            ana,
            ben,
            contact,
            company,
        }
    }

    /// Maps by the number from here on; `values` says what becomes of those by the
    /// e-mail address.
    async fn map_by_number(&self, values: &str) {
        let path = format!("/connections/{}/mappings?removed={values}", self.connection);
        self.world.put(&path, by_number()).await.good();
    }

    fn patch(&self, property: &str, text: &str) {
        let account = self.world.account(PORTAL);
        account
            .patch("contacts", self.contact, &[(property, text)])
            .unwrap();
    }

    /// Nothing that is let go of behind is, until [`Changed::go_on`].
    async fn hold(&self) {
        for table in ["records", "released_fields", "releases"] {
            let sql = format!(
                "CREATE TRIGGER held_{table} BEFORE DELETE ON {table} WHEN {} BEGIN
                    SELECT RAISE(ABORT, 'held');
                 END",
                match table {
                    "records" => "OLD.connection < 0",
                    _ => "TRUE",
                }
            );
            self.world.tamper(&sql).await;
        }
        let moves = "CREATE TRIGGER held_moves BEFORE UPDATE ON releases BEGIN
                        SELECT RAISE(ABORT, 'held');
                     END";
        self.world.tamper(moves).await;
    }

    async fn go_on(&self) {
        for trigger in ["records", "released_fields", "releases", "moves"] {
            self.world
                .tamper(&format!("DROP TRIGGER held_{trigger}"))
                .await;
        }
        self.world.until(async || self.is_worked_off().await).await;
    }

    /// How often records, or whom they are associated to, were read.
    fn reads(&self) -> usize {
        let calls = self.world.sim.calls().into_iter();
        calls
            .filter(|call| {
                use Route::{Associations, BatchRead, List, Search};
                matches!(call.route, Associations | BatchRead | List | Search)
            })
            .count()
    }

    /// Nothing is left of what was found by the old rule.
    async fn is_worked_off(&self) -> bool {
        let nobodys =
            "SELECT count(*) FROM records WHERE connection NOT IN (SELECT id FROM connections)";
        let rows = ["purges", "releases", "released_fields"];
        let rows = rows.map(|table| format!("SELECT count(*) FROM {table}"));
        let mut counts = rows.iter().map(String::as_str).chain([nobodys]);
        counts.all(|sql| self.world.count(sql) == 0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_rule_finds_nobody_from_the_moment_at_which_it_is_replaced() {
    let changed = Changed::start().await;
    let Changed {
        world, ana, ben, ..
    } = &changed;
    world.sim.clear_calls();
    changed.hold().await;
    changed.map_by_number("clear").await;
    assert_eq!(world.values(ana).await, json!({}));
    world.settle().await;
    // Saving reads nothing.
    assert_eq!(changed.reads(), 0);
    assert_eq!(world.values(ben).await, json!({}));
    // The new one finds who it names, of whom the record then says all that is mapped.
    changed.patch("jobtitle", "Chef");
    world.settle().await;
    let all = json!({"job_title": "Chef", "city": "Lyon", "industry": "BIOTECHNOLOGY"});
    assert_eq!(world.values(ben).await, all);
    assert_eq!(world.values(ana).await, json!({}));
    changed.go_on().await;
    changed.patch("city", "Nice");
    world.settle().await;
    assert_eq!(world.values(ben).await["city"], "Nice");
    assert_eq!(world.values(ana).await, json!({}));
}

/// An administrator of the account changes how it is edited, which nobody here is told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_matching_property_that_is_edited_in_another_way_finds_as_before() {
    let changed = Changed::start().await;
    let Changed {
        world,
        connection,
        ben,
        ..
    } = &changed;
    changed.map_by_number("clear").await;
    changed.patch("jobtitle", "Chef");
    world.settle().await;
    let all = json!({"job_title": "Chef", "city": "Lyon", "industry": "BIOTECHNOLOGY"});
    assert_eq!(world.values(ben).await, all);
    world.until(async || changed.is_worked_off().await).await;

    let account = world.account(PORTAL);
    account
        .edit_as("contacts", "customer_no", "textarea")
        .unwrap();
    // Of what is new the definitions are read anew.
    let nickname = PropertySpec::text("nickname");
    account.define("contacts", nickname).unwrap();
    let mut mappings = by_number();
    let fields = mappings["contacts"]["fields"].as_array_mut().unwrap();
    fields.push(json!({"property": "nickname", "variable": "nickname"}));
    let path = format!("/connections/{connection}/mappings?removed=clear");
    world.put(&path, mappings).await.good();
    assert_eq!(world.values(ben).await, all);
    assert!(changed.is_worked_off().await);
    let id: ConnectionId = connection.parse().unwrap();
    let saved = world.host().store.read(move |tx| tx.mappings(id));
    let mut saved = saved.await.unwrap().into_iter();
    let rule = saved.find_map(|mapping| mapping.matching).unwrap();
    assert_eq!(rule.property.field_type, "textarea");
    let path = format!("/connections/{connection}/activity");
    let activity = world.get(&path).await.good();
    let mut lines = activity.as_array().unwrap().iter();
    let saved = lines.find(|line| line["outcome"] == "mappings_saved");
    let told = saved.unwrap()["changes"].as_array().unwrap();
    assert_eq!(told.len(), 1, "{activity:#}");
    assert_eq!(told[0]["change"], "field_added");
    // What is so from here on reaches whom it did.
    changed.patch("city", "Nice");
    world.settle().await;
    assert_eq!(world.values(ben).await["city"], "Nice");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_kept_are_jimos_own_and_change_no_more() {
    let changed = Changed::start().await;
    let Changed {
        world, ana, ben, ..
    } = &changed;
    changed.hold().await;
    changed.map_by_number("keep").await;
    let kept = json!({"job_title": "Cook", "city": "Lyon", "industry": "BIOTECHNOLOGY"});
    for is_worked_off in [false, true] {
        if is_worked_off {
            changed.go_on().await;
        }
        let variables = world.user(ana).await["variables"].clone();
        for (variable, value) in kept.as_object().unwrap() {
            assert_eq!(variables[variable]["value"], *value);
            assert_eq!(variables[variable]["source"]["kind"], "jimo", "{variables}");
        }
    }
    changed.patch("jobtitle", "Chef");
    world.settle().await;
    assert_eq!(world.values(ana).await, kept);
    assert_eq!(world.values(ben).await["job_title"], "Chef");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_changes_back_before_all_is_let_go_of_begins_anew_as_well() {
    let changed = Changed::start().await;
    let Changed {
        world,
        connection,
        ana,
        ben,
        ..
    } = &changed;
    changed.map_by_number("clear").await;
    let path = format!("/connections/{connection}/mappings?removed=clear");
    changed.hold().await;
    world.put(&path, by_email()).await.good();
    changed.map_by_number("clear").await;
    world.put(&path, by_email()).await.good();
    world.settle().await;
    assert_eq!(world.values(ana).await, json!({}));
    changed.patch("jobtitle", "Chef");
    world.settle().await;
    changed.go_on().await;
    let all = json!({"job_title": "Chef", "city": "Lyon", "industry": "BIOTECHNOLOGY"});
    assert_eq!(world.values(ana).await, all);
    assert_eq!(world.values(ben).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_is_found_by_what_the_new_rule_names_and_not_by_the_old_ones_keys() {
    let changed = Changed::start().await;
    let Changed {
        world, connection, ..
    } = &changed;
    let account = world.account(PORTAL);
    // Two contacts that have the same address, in another property each.
    let work = PropertySpec::text("work_email").unique();
    account.define("contacts", work).unwrap();
    for (property, title) in [("email", "Old"), ("work_email", "New")] {
        let values = [(property, "cleo@example.com"), ("jobtitle", title)];
        account.create("contacts", &values).unwrap();
    }
    world.settle().await;
    changed.hold().await;
    let path = format!("/connections/{connection}/mappings?removed=clear");
    let by_work = mappings("work_email", "email");
    world.put(&path, by_work).await.good();
    let users = json!([{"external_id": "3", "email": "cleo@example.com"}]);
    let cleo = world.put_users(users).await.remove(0);
    world.settle().await;
    assert_eq!(world.values(&cleo).await, json!({"job_title": "New"}));
    changed.go_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_deleted_before_stays_so_for_what_is_older() {
    let changed = Changed::start().await;
    let Changed {
        world,
        ben,
        contact,
        ..
    } = &changed;
    let before = world.clock.now().0;
    let account = world.account(PORTAL);
    account.delete("contacts", *contact).unwrap();
    world.settle().await;
    changed.map_by_number("clear").await;
    world.settle().await;
    world.sim.clear_calls();
    let app = world.sim.app();
    let late = json!([{
        "objectId": contact, "subscriptionType": "contact.propertyChange",
        "occurredAt": before, "propertyName": "jobtitle", "propertyValue": "Chef",
        "portalId": PORTAL, "appId": app.id,
    }]);
    let url = world.host().url(intake::PATH);
    let status = bare::deliver(url.as_str(), &app.client_secret, late.to_string().into()).await;
    assert_eq!(status.unwrap(), 204);
    world.settle().await;
    assert_eq!(changed.reads(), 0);
    // It may come back.
    account.restore("contacts", *contact).unwrap();
    world.settle().await;
    let all = json!({"job_title": "Cook", "city": "Lyon", "industry": "BIOTECHNOLOGY"});
    assert_eq!(world.values(ben).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_otherwise_itself_leaves_what_it_went_through_as_it_is() {
    let changed = Changed::start().await;
    let Changed {
        world,
        connection,
        ana,
        ben,
        company,
        ..
    } = &changed;
    let mut mappings = by_email();
    mappings["companies"]["matching"] = json!({"property": "domain", "user": "external_id"});
    let path = format!("/connections/{connection}/mappings?removed=clear");
    changed.hold().await;
    world.put(&path, mappings).await.good();
    for table in ["associations", "association_registers"] {
        let left = format!("SELECT count(*) FROM {table}");
        assert_eq!(world.count(&left), 0, "{table}");
    }
    let contacts = json!({"job_title": "Cook", "city": "Lyon"});
    assert_eq!(world.values(ana).await, contacts);
    let account = world.account(PORTAL);
    account
        .patch("companies", *company, &[("domain", "2")])
        .unwrap();
    changed.patch("jobtitle", "Chef");
    world.settle().await;
    assert_eq!(
        world.values(ana).await,
        json!({"job_title": "Chef", "city": "Lyon"})
    );
    assert_eq!(
        world.values(ben).await,
        json!({"industry": "BIOTECHNOLOGY"})
    );
    // And back: found from the contacts that are linked.
    world.put(&path, by_email()).await.good();
    assert_eq!(world.values(ben).await, json!({}));
    world.settle().await;
    let all = json!({"job_title": "Chef", "city": "Lyon", "industry": "BIOTECHNOLOGY"});
    assert_eq!(world.values(ana).await, all);
    changed.go_on().await;
    assert_eq!(world.values(ana).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_records_there_are_and_whatever_they_are_called_all_begin_anew() {
    let changed = Changed::start().await;
    let store = &changed.world.host().store;
    let connection: ConnectionId = changed.connection.parse().unwrap();
    let odd = ["a", "Z", "é", "010", "-7", "9223372036854775807"];
    // More than one statement copies.
    let numbers = (1..=10_010).map(|number: i64| (number * 7).to_string());
    let ids: Vec<RecordId> = odd
        .map(str::to_owned)
        .into_iter()
        .chain(numbers)
        .map(RecordId::from)
        .collect();
    let known = ids.clone();
    let newest = store.transact(move |tx| {
        let mut newest = RecordKey(0);
        for id in &known {
            newest = newest.max(tx.ensure_record(connection, &"contacts".into(), id)?.key);
        }
        Ok(newest)
    });
    let newest = newest.await.unwrap();
    changed.map_by_number("clear").await;
    let found = store.read(move |tx| {
        let mut found = 0;
        for id in &ids {
            let state = tx.find_record(connection, &"contacts".into(), id)?;
            found += usize::from(state.is_some_and(|state| state.key > newest));
        }
        Ok((found, ids.len()))
    });
    let (found, all) = found.await.unwrap();
    assert_eq!(found, all);
}
