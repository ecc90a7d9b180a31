//! What follows a commit behind, some rows at a time: keys that users are found by,
//! and rows of fields that are gone. Ended between any two pieces, and written to
//! meanwhile, a store answers at any moment as if all had been done at once.

use std::collections::BTreeMap;

use jimo_connect::{
    model::{
        ConnectionId, FieldId, FieldMapping, MappingId, ObjectMapping, ProjectId,
        PropertyDefinition, Readable, Register, SegmentId, Shown, Timestamp, UserId, Value,
        VariableId, VariableType, Version,
        condition::{Attribute, Condition, ListTest, Rule, Test, TextTest},
    },
    pipeline::mapping,
    store::{
        Error, Store, Tx,
        reach::Feed,
        records::RecordKey,
        registers::FedValue,
        segments::NewSegment,
        users::{Source, UserFilter},
    },
};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// More than a transaction that saves a segment makes the keys of.
const USERS: usize = 2_500;

const PLANS: [&str; 3] = ["Pro", "Team", "Free"];

/// Users with a plan, and with teams.
struct World {
    directory: TempDir,
    store: Option<Store>,
    project: ProjectId,
    plan: VariableId,
    teams: VariableId,
    /// What each user shows as their plan.
    shown: BTreeMap<UserId, Option<String>>,
}

/// Where users have their values from.
struct Fed {
    connection: ConnectionId,
    plan: FieldId,
    records: BTreeMap<UserId, RecordKey>,
}

/// Makes some keys, or lets go of some. Returns whether there were any.
fn seek(tx: &Tx<'_>) -> Result<bool, Error> {
    let sought = tx.next_sought(&[])?.map(|one| tx.seek_more(one, 300));
    Ok(sought.transpose()?.is_some())
}

fn text(word: &str) -> Value {
    Value::Text(word.to_owned())
}

fn is(variable: VariableId, word: &str) -> Condition {
    Condition::Rule(Rule {
        attribute: Attribute::Variable(variable),
        test: Test::Text(TextTest::Is(word.to_owned())),
    })
}

impl World {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let made = store.transact(|tx| {
            let project = tx.create_project("A project", "UTC", NOW)?.id;
            let other = tx.create_project("Another", "UTC", NOW)?.id;
            let plan = tx.create_variable(project, "plan", None, VariableType::Text, NOW)?;
            let teams = tx.create_variable(project, "teams", None, VariableType::List, NOW)?;
            let mut shown = BTreeMap::new();
            for number in 0..USERS {
                // Those of another project come in between.
                tx.create_user(other, None, None, Some("Pro"), NOW)?;
                let user = tx.create_user(project, None, None, None, NOW)?;
                let word = PLANS[number % PLANS.len()];
                tx.set_jimo_value(user, plan, Some(&text(word)), NOW)?;
                let of = [word, "All"].map(str::to_owned).to_vec();
                tx.set_jimo_value(user, teams, Some(&Value::List(of)), NOW)?;
                shown.insert(user, Some(word.to_owned()));
            }
            Ok((project, plan, teams, shown))
        });
        let (project, plan, teams, shown) = made.await.unwrap();
        Self {
            directory,
            store: Some(store),
            project,
            plan,
            teams,
            shown,
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        let store = self.store.as_ref().unwrap();
        store.transact(work).await.unwrap()
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        let store = self.store.as_ref().unwrap();
        store.read(work).await.unwrap()
    }

    /// Ends the store, and opens what is left of it.
    fn end(&mut self) {
        self.store = None;
        self.store = Some(Store::open(self.directory.path()).unwrap());
    }

    fn count(&self, sql: &str) -> i64 {
        let path = self.directory.path().join("store.sqlite");
        let store = rusqlite::Connection::open(path).unwrap();
        store.query_one(sql, [], |row| row.get(0)).unwrap()
    }

    async fn save(&self, name: &str, condition: Condition) -> SegmentId {
        let (project, name) = (self.project, name.to_owned());
        let saved = self.write(move |tx| {
            let wanted = NewSegment {
                name,
                description: None,
                condition,
            };
            tx.save_segment(project, None, &wanted, NOW)
        });
        saved.await.unwrap()
    }

    async fn delete(&self, segment: SegmentId) {
        let project = self.project;
        let deleted = self.write(move |tx| tx.delete_segment(project, segment));
        deleted.await.unwrap();
    }

    /// Somebody's plan becomes another; none clears it.
    async fn set(&mut self, user: UserId, word: Option<&str>) {
        let (plan, value) = (self.plan, word.map(text));
        self.write(move |tx| tx.set_jimo_value(user, plan, value.as_ref(), NOW))
            .await;
        self.shown.insert(user, word.map(str::to_owned));
    }

    /// Writes to users from all over, some of whom go and some of whom come.
    async fn change(&mut self, round: usize) {
        let users: Vec<UserId> = self.shown.keys().copied().collect();
        for (place, user) in users.iter().enumerate().skip(round).step_by(97) {
            match place % 4 {
                0 => self.set(*user, None).await,
                1 => self.set(*user, Some("PRO")).await,
                2 => self.set(*user, Some("Team")).await,
                _ => {
                    let user = *user;
                    self.write(move |tx| tx.delete_user(user)).await;
                    self.shown.remove(&user);
                }
            }
        }
        let project = self.project;
        let new = self
            .write(move |tx| tx.create_user(project, None, None, None, NOW))
            .await;
        self.set(new, Some("Pro")).await;
    }

    /// Every answer is what the users show.
    async fn check(&self) {
        let (project, plan) = (self.project, self.plan);
        for word in PLANS {
            let asked = self.read(move |tx| {
                let audience = tx.audience(project, &is(plan, word), NOW)?;
                let all = UserFilter::default();
                let users = tx.audience_users(&audience, &all, UserId(0), usize::MAX)?;
                let users: Vec<UserId> = users.iter().map(|user| user.id).collect();
                Ok((users, tx.audience_count(&audience)?))
            });
            let (users, count) = asked.await;
            let expected = self.shown.iter().filter(|(_, shown)| {
                let shown = shown.as_deref().unwrap_or_default();
                shown.eq_ignore_ascii_case(word)
            });
            let expected: Vec<UserId> = expected.map(|(user, _)| *user).collect();
            assert_eq!(usize::try_from(count).unwrap(), expected.len(), "{word}");
            assert!(users == expected, "{word}");
        }
        let some: Vec<(UserId, Option<String>)> = self
            .shown
            .iter()
            .step_by(89)
            .map(|(user, shown)| (*user, shown.clone()))
            .collect();
        self.read(move |tx| {
            let variable = tx.variable_by_id(project, plan)?.unwrap();
            let with = tx.values_of_variable(project, &variable)?;
            for (user, shown) in some {
                let shown = shown.map(|word| text(&word));
                assert_eq!(tx.value(user, &variable)?, shown, "{user}");
                let profile = tx.profile(user)?.into_iter();
                let mut profile = profile.filter(|value| value.variable == "plan");
                assert_eq!(profile.next().map(|value| value.value), shown, "{user}");
                let among = with.iter().find(|(of, _)| *of == user);
                assert_eq!(among.map(|(_, value)| value), shown.as_ref(), "{user}");
                let segments = tx.segments_of_user(project, user, NOW)?;
                for segment in segments.iter().filter(|one| one.wanted.name == "Pro") {
                    assert!(shown.is_some(), "{user} is in {segment:?}");
                }
            }
            assert_eq!(tx.variable_is_used(project, plan)?, !with.is_empty());
            Ok(())
        })
        .await;
    }

    /// Feeds all users by contacts of their own, with teams for a second field.
    async fn feed(&mut self) -> Fed {
        let (project, plan, teams) = (self.project, self.plan, self.teams);
        let users: Vec<UserId> = self.shown.keys().copied().collect();
        let fed = self.write(move |tx| {
            let connection = tx.create_connection(project, "hubspot", NOW)?;
            let account = tx.save_account("hubspot", &"1".into(), None, None, None)?;
            tx.set_connection_account(connection, account)?;
            let contacts = ObjectMapping {
                id: MappingId(0),
                object_type: "contacts".into(),
                matching: None,
                through: None,
                selection: None,
                fields: Vec::new(),
                matching_properties: Vec::new(),
                selection_properties: Vec::new(),
                bookkeeping_properties: Vec::new(),
            };
            let mapping = tx.save_mapping(connection, &contacts)?;
            let field = |property: &str, variable, target| FieldMapping {
                id: FieldId(0),
                property: PropertyDefinition {
                    name: property.into(),
                    property_type: "string".into(),
                    field_type: "text".into(),
                },
                variable: Some(variable),
                target,
                show: Shown::InternalValue,
                saved_at: NOW,
            };
            let fields = [
                tx.add_field(mapping, &field("plan", plan, VariableType::Text))?,
                tx.add_field(mapping, &field("teams", teams, VariableType::List))?,
            ];
            let values = [text("Pro"), Value::List(vec!["All".into()])];
            let mut records = BTreeMap::new();
            for (number, user) in users.into_iter().enumerate() {
                let id = (number + 1).to_string();
                let record =
                    tx.ensure_record(connection, &"contacts".into(), &id.as_str().into())?;
                // Only such records have registers.
                tx.link(record.key, user, 0)?;
                tx.refresh_reached(record.key)?;
                let feed = Feed {
                    record: record.key,
                    provisional_until: Timestamp::default(),
                };
                tx.set_feed(mapping, user, Some(feed))?;
                for ((field, value), variable) in fields.iter().zip(&values).zip([plan, teams]) {
                    let version = Version {
                        stamp: NOW,
                        sequence: 1,
                    };
                    let register = Register {
                        text: "Pro".into(),
                        version,
                        unreadable: None,
                        readable: Some(Readable {
                            text: "Pro".into(),
                            value: Some(value.clone()),
                            version,
                        }),
                    };
                    tx.save_register(record.key, *field, &register)?;
                    let fed = FedValue {
                        user,
                        variable,
                        value: Some(value.clone()),
                        field: *field,
                        record: record.key,
                        changed_at: NOW,
                    };
                    tx.show_value(&fed, NOW)?;
                }
                records.insert(user, record.key);
            }
            Ok(Fed {
                connection,
                plan: fields[0],
                records,
            })
        });
        let fed = fed.await;
        for shown in self.shown.values_mut() {
            *shown = Some("Pro".to_owned());
        }
        fed
    }

    /// Works off what is behind, ended after each piece and written to.
    async fn settle(&mut self) -> usize {
        let mut pieces = 0;
        loop {
            let more = self
                .write(|tx| {
                    let release = tx.next_release(&[])?;
                    let done = release.map(|release| tx.release_more(release, 300));
                    Ok(done.transpose()?.is_some() | seek(tx)?)
                })
                .await;
            self.end();
            self.check().await;
            if !more {
                return pieces;
            }
            pieces += 1;
            if pieces < 6 {
                self.change(pieces).await;
                self.check().await;
            }
        }
    }
}

#[tokio::test]
async fn users_are_found_by_values_while_their_keys_are_made() {
    let mut world = World::new().await;
    world.check().await;
    world.save("Pro", is(world.plan, "Pro")).await;
    let keys = "SELECT count(*) FROM sought_values";
    let begun = world.count(keys);
    assert!(0 < begun && begun < 1_500, "{begun} keys at once");
    world.check().await;
    assert!(world.settle().await > 3);
    let values = "SELECT count(*) FROM user_values WHERE variable = 1";
    assert_eq!(world.count(keys), world.count(values));
    let complete = "SELECT count(*) FROM sought_variables WHERE stage = 'complete'";
    assert_eq!(world.count(complete), 1);
    // And once they are there.
    world.change(11).await;
    world.check().await;
    assert_eq!(world.count(keys), world.count(values));
}

#[tokio::test]
async fn keys_of_a_segment_that_is_deleted_are_let_go_of_however_far_they_were_made() {
    let mut world = World::new().await;
    let teams = Condition::Rule(Rule {
        attribute: Attribute::Variable(world.teams),
        test: Test::List(ListTest::ContainsAny(vec!["All".to_owned()])),
    });
    let all = world.save("All", teams.clone()).await;
    let pro = world.save("Pro", is(world.plan, "Pro")).await;
    world.write(seek).await;
    world.end();
    world.delete(pro).await;
    world.check().await;
    world.write(seek).await;
    // Named again, while its keys are let go of.
    world.delete(all).await;
    let all = world.save("All", teams).await;
    world.settle().await;
    let keys = |variable: VariableId| {
        let variable = variable.0;
        format!("SELECT count(*) FROM sought_values WHERE variable = {variable}")
    };
    let items = "SELECT count(*) FROM user_values v, json_each(v.value) WHERE v.variable = 2";
    assert_eq!(world.count(&keys(world.plan)), 0);
    assert_eq!(world.count(&keys(world.teams)), world.count(items));
    world.delete(all).await;
    world.settle().await;
    assert_eq!(world.count("SELECT count(*) FROM sought_values"), 0);
    assert_eq!(world.count("SELECT count(*) FROM sought_variables"), 0);
}

#[tokio::test]
async fn nobody_who_is_deleted_leaves_a_key_while_keys_are_let_go_of() {
    let mut world = World::new().await;
    let pro = world.save("Pro", is(world.plan, "Pro")).await;
    world.settle().await;
    world.delete(pro).await;
    let left: Vec<UserId> = world.shown.keys().copied().collect();
    for user in left {
        world.write(move |tx| tx.delete_user(user)).await;
        world.shown.remove(&user);
    }
    assert_eq!(world.count("SELECT count(*) FROM sought_values"), 0);
}

/// How a field goes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Connection,
    Field,
}

#[tokio::test]
async fn values_of_what_is_gone_are_gone_or_jimos_own_with_the_commit() {
    for (way, keep) in [
        (Way::Connection, false),
        (Way::Connection, true),
        (Way::Field, false),
        (Way::Field, true),
    ] {
        let mut world = World::new().await;
        world.save("Pro", is(world.plan, "Pro")).await;
        world.settle().await;
        let fed = world.feed().await;
        world.check().await;
        let (project, connection) = (world.project, fed.connection);
        match way {
            Way::Connection => {
                let delete = move |tx: &Tx<'_>| {
                    mapping::delete_connection(tx, project, connection, keep, NOW)
                };
                world.write(delete).await;
            }
            Way::Field => {
                let plan = fed.plan;
                let remove = move |tx: &Tx<'_>| {
                    let mapped = tx.mappings(connection)?.remove(0);
                    let gone: Vec<FieldMapping> = mapped.fields;
                    let gone: Vec<FieldMapping> =
                        gone.into_iter().filter(|field| field.id == plan).collect();
                    let of = Some((connection, &mapped.object_type));
                    tx.release_fields(project, of, &gone, keep)
                };
                world.write(remove).await;
            }
        }
        if !keep {
            world.shown.values_mut().for_each(|shown| *shown = None);
        }
        world.check().await;
        let plan = world.plan;
        let some = *world.shown.keys().nth(7).unwrap();
        let (source, fed_by, record) = world
            .read(move |tx| {
                let profile = tx.profile(some)?.into_iter();
                let mut plans = profile.filter(|value| value.variable == "plan");
                let source = plans.next().map(|value| value.source);
                let variable = tx.variable_by_id(project, plan)?.unwrap();
                Ok((source, variable.fed_by, tx.value_record(some, plan)?))
            })
            .await;
        assert_eq!(source, keep.then_some(Source::Jimo), "{way:?}");
        assert!(fed_by.is_none() && record.is_none(), "{way:?}");

        // Another field takes it over, with the very value that was there.
        let last = *world.shown.keys().next_back().unwrap();
        let other = FedValue {
            user: last,
            variable: plan,
            value: Some(text("Pro")),
            field: FieldId(fed.plan.0 + 100),
            record: fed.records[&last],
            changed_at: NOW,
        };
        assert!(world.write(move |tx| tx.show_value(&other, NOW)).await);
        world.shown.insert(last, Some("Pro".to_owned()));
        world.check().await;

        world.settle().await;
        assert_eq!(world.count("SELECT count(*) FROM releases"), 0);
        assert_eq!(world.count("SELECT count(*) FROM released_fields"), 0);
        let field = fed.plan.0;
        let left = format!("SELECT count(*) FROM user_values WHERE field = {field}");
        assert_eq!(world.count(&left), 0, "{way:?}");
        let values = "SELECT count(*) FROM user_values WHERE variable = 1";
        let keys = "SELECT count(*) FROM sought_values WHERE variable = 1";
        assert_eq!(world.count(keys), world.count(values), "{way:?}");
        if let Way::Field = way {
            let registers = format!("SELECT count(*) FROM registers WHERE field = {field}");
            assert_eq!(world.count(&registers), 0);
            // What stays is as it was.
            let others = "SELECT count(*) FROM registers";
            let records = i64::try_from(fed.records.len()).unwrap();
            assert_eq!(world.count(others), records);
            let mappings = world.read(move |tx| tx.mappings(connection)).await;
            assert_eq!(mappings[0].fields.len(), 1);
        }
    }
}
