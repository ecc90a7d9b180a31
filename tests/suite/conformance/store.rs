//! What every user store must do.

use std::sync::Arc;

use jimo_connect::{
    log::{Lane, Place, Position, Step},
    model::{
        AccountId, ConnectionId, FieldId, FieldMapping, KeyKind, MappingId, ObjectMapping,
        ProjectId, PropertyDefinition, Readable, Register, Shown, Status, Timestamp, UserId,
        UserIdentifier, Value, VariableId, VariableType, Version,
    },
    pipeline::routing::Routing,
    store::{Error, Store, Tx, reach::KeptAssociation, records::RecordKey, registers::FedValue},
};
use tempfile::TempDir;

pub(super) const NOW: Timestamp = Timestamp(1_000);

/// A store with a project and an active connection.
pub(super) struct Kept {
    store: Store,
    directory: TempDir,
    pub(super) project: ProjectId,
    pub(super) connection: ConnectionId,
    pub(super) account: AccountId,
}

impl Kept {
    pub(super) async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let (project, connection, account) = store
            .transact(|tx| {
                let project = tx.create_project("A project", "UTC", NOW)?.id;
                let connection = tx.create_connection(project, "hubspot", NOW)?;
                let account = tx.save_account("hubspot", &"1".into(), None, None, None)?;
                tx.set_connection_account(connection, account)?;
                tx.set_connection_status(connection, Status::Active, None)?;
                Ok((project, connection, account))
            })
            .await
            .unwrap();
        Self {
            store,
            directory,
            project,
            connection,
            account,
        }
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        self.store.transact(work).await.unwrap()
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        self.store.read(work).await.unwrap()
    }

    /// What a question about what the store's file holds comes to.
    pub(super) fn count(&self, sql: &str) -> i64 {
        let path = self.directory.path().join("store.sqlite");
        let store = rusqlite::Connection::open(path).unwrap();
        store.query_one(sql, [], |row| row.get(0)).unwrap()
    }

    async fn record(&self, object_type: &'static str, id: &'static str) -> RecordKey {
        let connection = self.connection;
        self.write(move |tx| tx.ensure_record(connection, &object_type.into(), &id.into()))
            .await
            .key
    }

    async fn user(&self) -> UserId {
        let project = self.project;
        self.write(move |tx| tx.create_user(project, None, None, None, NOW))
            .await
    }

    async fn variable(&self, name: &'static str) -> VariableId {
        let project = self.project;
        self.write(move |tx| tx.create_variable(project, name, None, VariableType::Text, NOW))
            .await
    }

    /// A field of contacts that feeds a variable.
    async fn field(&self, variable: VariableId) -> FieldId {
        let connection = self.connection;
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
        let field = FieldMapping {
            id: FieldId(0),
            property: PropertyDefinition {
                name: "jobtitle".into(),
                property_type: "string".into(),
                field_type: "text".into(),
            },
            variable: Some(variable),
            target: VariableType::Text,
            show: Shown::InternalValue,
            saved_at: NOW,
        };
        self.write(move |tx| {
            let mapping = tx.save_mapping(connection, &contacts)?;
            tx.add_field(mapping, &field)
        })
        .await
    }
}

fn up_to(place: i64) -> Step {
    Step {
        up_to: Position(place),
        lanes: Vec::new(),
    }
}

#[tokio::test]
async fn a_lane_that_got_ahead_is_known_until_all_the_others_have_caught_up() {
    let kept = Kept::new().await;
    let step = |up_to, lanes: &[(i64, i64)]| Step {
        up_to: Position(up_to),
        lanes: lanes
            .iter()
            .map(|(lane, position)| (Lane(*lane), Position(*position)))
            .collect(),
    };
    let (behind, ahead) = (step(2, &[(7, 2), (8, 9)]), step(4, &[(7, 4), (8, 11)]));
    kept.write(move |tx| tx.move_log_place(&behind)).await;
    kept.write(move |tx| tx.move_log_place(&ahead)).await;
    let place = kept.read(|tx| tx.log_place()).await;
    assert_eq!(place.up_to, Position(4));
    assert_eq!(place.ahead, [(Lane(8), Position(11))].into());
    let even = step(11, &[(7, 10)]);
    kept.write(move |tx| tx.move_log_place(&even)).await;
    let place = kept.read(|tx| tx.log_place()).await;
    assert_eq!(
        place,
        Place {
            up_to: Position(11),
            ahead: [].into()
        }
    );
}

#[tokio::test]
async fn a_transaction_does_all_or_nothing() {
    let kept = Kept::new().await;
    let failed = kept
        .store
        .transact(|tx| {
            tx.create_project("Another", "UTC", NOW)?;
            tx.move_log_place(&up_to(7))?;
            Err::<(), _>(Error::NotFound("anything"))
        })
        .await;
    assert!(matches!(failed, Err(Error::NotFound(_))));
    assert_eq!(kept.read(|tx| tx.projects()).await.len(), 1);
    assert_eq!(kept.read(|tx| tx.log_position()).await, Position(0));
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening_and_places_only_move_on() {
    let kept = Kept::new().await;
    kept.write(|tx| tx.move_log_place(&up_to(7))).await;
    kept.write(|tx| tx.move_log_place(&up_to(5))).await;
    let before = kept.write(|tx| tx.next_sequence()).await;
    drop(kept.store);
    let store = Store::open(kept.directory.path()).unwrap();
    let place = store.read(|tx| tx.log_position()).await.unwrap();
    assert_eq!(place, Position(7));
    let after = store.transact(|tx| tx.next_sequence()).await.unwrap();
    assert!(after > before);
}

#[tokio::test]
async fn the_configuration_moves_with_connections() {
    let kept = Kept::new().await;
    let (connection, project) = (kept.connection, kept.project);
    let mut before = kept.read(|tx| tx.configuration()).await;
    let mut moved = async || {
        let after = kept.read(|tx| tx.configuration()).await;
        assert!(after > before);
        before = after;
    };
    kept.write(move |tx| tx.set_connection_status(connection, Status::Paused, None))
        .await;
    moved().await;
    kept.write(move |tx| tx.mappings_saved(connection)).await;
    moved().await;
    kept.write(move |tx| tx.delete_connection(connection)).await;
    moved().await;
    let gone = kept
        .store
        .read(move |tx| tx.connection(project, connection))
        .await;
    assert!(matches!(gone, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn what_changes_for_an_account_leaves_others_as_they_are() {
    let kept = Kept::new().await;
    let (connection, project, account) = (kept.connection, kept.project, kept.account);
    let other = kept
        .write(move |tx| {
            let other = tx.save_account("hubspot", &"another".into(), None, None, None)?;
            let connection = tx.create_connection(project, "hubspot", NOW)?;
            tx.set_connection_account(connection, other)?;
            tx.set_connection_status(connection, Status::Active, None)?;
            Ok(other)
        })
        .await;
    let mut before = kept.read(Routing::load).await;
    let by_id = |routing: &Routing, id| {
        let mut accounts = routing.accounts();
        accounts.find(|route| route.id == id).cloned()
    };
    type Change = fn(&Tx<'_>, ConnectionId) -> Result<(), Error>;
    let changes: [Change; 5] = [
        |tx, id| tx.set_connection_status(id, Status::Paused, None),
        |tx, id| tx.set_connection_status(id, Status::Active, None),
        |tx, id| tx.mappings_saved(id),
        |tx, id| tx.hold_connection(id, NOW),
        |tx, id| tx.begin_trial(id, "a digest", "a test", NOW),
    ];
    for change in changes {
        kept.write(move |tx| change(tx, connection)).await;
        let known = before.clone();
        let after = kept.read(move |tx| known.renewed(tx)).await.unwrap();
        let [was, is] = [&before, &after].map(|routing| by_id(routing, account).unwrap());
        assert!(was.configuration < is.configuration);
        assert!(!Arc::ptr_eq(&was, &is));
        let [was, is] = [&before, &after].map(|routing| by_id(routing, other).unwrap());
        assert!(Arc::ptr_eq(&was, &is));
        before = after;
    }
    // What was prepared for the one is not applied under another configuration.
    let of = [account, other].map(|id| (id, by_id(&before, id).unwrap().configuration));
    kept.write(move |tx| tx.delete_connection(connection)).await;
    for ((id, configuration), same) in of.into_iter().zip([false, true]) {
        let is = kept.read(move |tx| tx.is_configuration(id, configuration));
        assert_eq!(is.await, same);
    }
    let after = kept.read(move |tx| before.renewed(tx)).await.unwrap();
    assert!(by_id(&after, account).is_none() && by_id(&after, other).is_some());
}

#[tokio::test]
async fn associations_are_replaced_whole_and_only_by_a_later_read() {
    let kept = Kept::new().await;
    let contact = kept.record("contacts", "1").await;
    let (acme, bolt) = (
        kept.record("companies", "2").await,
        kept.record("companies", "3").await,
    );
    let replace = |sequence, companies: Vec<(RecordKey, bool)>| {
        kept.write(move |tx| {
            let associations: Vec<_> = companies
                .into_iter()
                .map(|(to_record, primary)| KeptAssociation {
                    to_record,
                    primary,
                    labels: Vec::new(),
                })
                .collect();
            tx.replace_associations(contact, &"companies".into(), sequence, &associations)
        })
    };
    assert_eq!(
        replace(5, vec![(acme, true), (bolt, false)]).await,
        Some(vec![acme, bolt])
    );
    assert_eq!(
        replace(6, vec![(acme, true), (bolt, false)]).await,
        Some(Vec::new())
    );
    assert_eq!(replace(4, vec![]).await, None);
    assert_eq!(replace(7, vec![(bolt, false)]).await, Some(vec![acme]));
    let left = kept
        .read(move |tx| tx.associated_records(contact, &"companies".into()))
        .await;
    assert_eq!(left, [(bolt, "3".into())]);
}

#[tokio::test]
async fn users_are_found_by_each_form_of_what_they_are_called_in_their_project_alone() {
    let kept = Kept::new().await;
    let (project, user) = (kept.project, kept.user().await);
    let set = |identifier, text: Option<&'static str>| {
        kept.write(move |tx| tx.set_user_keys(project, user, identifier, text))
    };
    let found = |project, identifier, kind, key: &'static str| {
        kept.read(move |tx| tx.users_by_key(project, identifier, kind, key))
    };
    let (email, external) = (UserIdentifier::Email, UserIdentifier::ExternalId);
    assert!(set(email, Some(" Ana@Example.com")).await.1);
    assert!(!set(email, Some("ana@example.com")).await.1);
    set(external, Some("042")).await;
    assert_eq!(
        found(project, email, KeyKind::Email, "ana@example.com").await,
        [user]
    );
    assert_eq!(found(project, external, KeyKind::Id, "042").await, [user]);
    assert_eq!(
        found(project, external, KeyKind::Number, "42").await,
        [user]
    );
    assert_eq!(found(project, external, KeyKind::Id, "42").await, []);
    let other = ProjectId(project.0 + 1);
    assert_eq!(found(other, external, KeyKind::Id, "042").await, []);
    set(external, None).await;
    assert_eq!(found(project, external, KeyKind::Id, "042").await, []);
}

#[tokio::test]
async fn a_records_match_keys_are_replaced_whole() {
    let kept = Kept::new().await;
    let (connection, record) = (kept.connection, kept.record("contacts", "1").await);
    let (one, two) = ([1_u8; 16], [2_u8; 16]);
    let ranks = |digest| {
        kept.read(move |tx| {
            let found = tx.records_by_digest(connection, &"contacts".into(), digest)?;
            Ok(found.into_iter().map(|found| found.2).collect::<Vec<_>>())
        })
    };
    kept.write(move |tx| {
        let held = tx.find_record(connection, &"contacts".into(), &"1".into())?;
        let mut state = held.unwrap();
        state.existence = jimo_connect::model::Existence::Exists;
        tx.save_record(&state)?;
        tx.set_match_keys(connection, record, &[(one, 1), (one, 0), (two, 1)])
    })
    .await;
    assert_eq!((ranks(one).await, ranks(two).await), (vec![0], vec![1]));
    kept.write(move |tx| tx.set_match_keys(connection, record, &[(two, 0)]))
        .await;
    assert_eq!((ranks(one).await, ranks(two).await), (vec![], vec![0]));
}

#[tokio::test]
async fn ids_that_look_alike_are_different_records() {
    let kept = Kept::new().await;
    let mut keys = Vec::new();
    for id in ["7", "07", "7.0", "18446744073709551616", "-7", ""] {
        let key = kept.record("contacts", id).await;
        assert_eq!(
            kept.read(move |tx| tx.record_id(key)).await,
            Some(id.into())
        );
        keys.push(key);
    }
    keys.push(kept.record("companies", "7").await);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 7);
}

#[tokio::test]
async fn a_register_comes_back_with_both_slots() {
    let kept = Kept::new().await;
    let (record, field) = (kept.record("contacts", "1").await, FieldId(1));
    let version = |stamp| Version {
        stamp: Timestamp(stamp),
        sequence: stamp % 7,
    };
    let readable = |text: &str, stamp, value: Option<&str>| Readable {
        text: text.into(),
        version: version(stamp),
        value: value.map(|value| Value::Text(value.into())),
    };
    let registers = [
        ("Cook", 10, None, Some(readable("Cook", 10, Some("Cook")))),
        ("", 11, None, Some(readable("", 11, None))),
        (
            "REDACTED",
            20,
            Some("redacted"),
            Some(readable("Cook", 10, Some("Cook"))),
        ),
        (
            "REDACTED",
            20,
            Some("redacted"),
            Some(readable("", 11, None)),
        ),
        ("REDACTED", 20, Some("redacted"), None),
    ];
    for (text, stamp, unreadable, readable) in registers {
        let register = Register {
            text: text.into(),
            version: version(stamp),
            unreadable: unreadable.map(str::to_owned),
            readable,
        };
        let saved = register.clone();
        kept.write(move |tx| tx.save_register(record, field, &saved))
            .await;
        let held = kept
            .read(move |tx| tx.register(record, field, VariableType::Text))
            .await;
        assert_eq!(held, Some(register));
    }
}

#[tokio::test]
async fn a_value_is_written_where_it_differs_and_withdrawn_by_its_own_field() {
    let kept = Kept::new().await;
    let (user, variable) = (kept.user().await, kept.variable("job_title").await);
    let (record, field) = (
        kept.record("contacts", "1").await,
        kept.field(variable).await,
    );
    let show = |text: Option<&'static str>, now| {
        let fed = FedValue {
            user,
            variable,
            value: text.map(|text| Value::Text(text.into())),
            field,
            record,
            changed_at: NOW,
        };
        kept.write(move |tx| tx.show_value(&fed, Timestamp(now)))
    };
    let withdraw = |field| kept.write(move |tx| tx.withdraw_value(user, variable, field));
    assert!(show(Some("Cook"), 1).await);
    assert!(!show(Some("Cook"), 2).await);
    let profile = kept.read(move |tx| tx.profile(user)).await;
    assert_eq!(profile[0].written_at, Timestamp(1));
    assert!(!withdraw(FieldId(field.0 + 1)).await);
    assert!(withdraw(field).await);
    assert!(show(Some("Cook"), 3).await);
    assert!(show(None, 4).await);
    assert!(!show(None, 5).await);
    assert!(kept.read(move |tx| tx.profile(user)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_sees_is_of_one_moment() {
    let kept = std::sync::Arc::new(Kept::new().await);
    let writer = tokio::spawn({
        let kept = kept.clone();
        async move {
            for place in 1..200 {
                kept.write(move |tx| {
                    tx.next_sequence()?;
                    tx.move_log_place(&up_to(place))
                })
                .await;
            }
        }
    });
    while !writer.is_finished() {
        let (one, other) = kept
            .read(|tx| {
                let one = tx.log_position()?;
                std::thread::yield_now();
                Ok((one, tx.log_position()?))
            })
            .await;
        assert_eq!(one, other);
    }
    writer.await.unwrap();
}
