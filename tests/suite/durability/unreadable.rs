//! A row that cannot be read, or let go of, holds up its own account, and nobody else.

use std::{path::Path, time::Duration};

use harness::{
    bare::{APP_ID, CLIENT_SECRET, client, deliver},
    program::{self, Program},
    seed::{World as Seeds, fill, seeded_at},
    world::World,
};
use jimo_connect::log::Position;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::changes::world;

/// How long anything may take that should take a moment.
const PATIENCE: Duration = Duration::from_secs(90);

/// Changes one property of a user's contact, of an account.
fn change(account: u64, user: u64, text: &str) -> Vec<u8> {
    let event = json!({
        "eventId": 1, "subscriptionId": 1, "portalId": Seeds::portal(account), "appId": APP_ID,
        "occurredAt": seeded_at().0 + 3_600_000, "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0, "objectId": Seeds::contact(user),
        "propertyName": Seeds::property(0), "propertyValue": text, "changeSource": "CRM_UI",
    });
    json!([event]).to_string().into_bytes()
}

/// The store beside the program that has it.
fn store(directory: &Path) -> Connection {
    Connection::open(directory.join("store.sqlite")).unwrap()
}

/// Puts something in the place of what the register of a user's contact has as its
/// value.
fn set_value(directory: &Path, user: u64, value: rusqlite::types::Value) {
    let register = "UPDATE registers SET value = ?2 WHERE (record, field) = (
        SELECT r.record, min(r.field) FROM registers r JOIN records c ON c.id = r.record
        WHERE c.record = ?1)";
    let contact = i64::try_from(Seeds::contact(user)).unwrap();
    let changed = store(directory).execute(register, params![contact, value]);
    assert_eq!(changed.unwrap(), 1);
}

async fn until_said(directory: &Path, text: &str) {
    let waited = async {
        while !is_said(directory, text) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waited).await;
    assert!(waited.is_ok(), "{text} is not applied");
}

/// Whether any register has this text.
fn is_said(directory: &Path, text: &str) -> bool {
    let said = "SELECT EXISTS (SELECT 1 FROM registers WHERE text = ?1)";
    let said = store(directory).query_one(said, [text], |row| row.get(0));
    said.unwrap()
}

async fn page(program: &Program, path: &str) -> (u16, String) {
    let url = format!("{}{path}", program.url);
    let answer = client().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_applied_holds_up_its_account_alone_until_what_it_needs_is_mended()
{
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    fill(path, world(6, 3)).await;
    // No text, where one has to be.
    set_value(path, 0, 7.into());
    let program = Program::start(path, &program::alone());
    let webhooks = format!("{}/webhooks/hubspot", program.url);
    let send = async |account, user, text| {
        let body = change(account, user, text);
        let status = deliver(&webhooks, CLIENT_SECRET, body).await.unwrap();
        assert_eq!(status, 204);
    };
    for (account, user, text) in [(0, 1, "before"), (0, 0, "at fault"), (0, 1, "behind")] {
        send(account, user, text).await;
    }
    for (account, user, text) in [(1, 2, "another's"), (2, 4, "a third's")] {
        send(account, user, text).await;
    }
    for text in ["before", "another's", "a third's"] {
        until_said(path, text).await;
    }

    // It says whose it is, and where.
    let portal = Seeds::portal(0).to_string();
    let names = |line: &Value| {
        let fields = &line["fields"];
        line["level"] == "ERROR" && fields["position"] == 2 && fields["account"] == portal.as_str()
    };
    let line = program.line(names).await;
    let said = line["fields"]["error"].as_str().unwrap();
    assert!(said.contains("does not understand"), "{line}");
    let stuck = "jimo_connect_accounts_stuck ";
    let metrics = page(&program, "/metrics").await.1;
    assert!(metrics.contains(&format!("{stuck}1\n")), "{metrics}");
    assert_eq!(page(&program, "/health/ready").await.0, 200);
    let (status, health) = page(&program, "/health").await;
    assert_eq!(status, 200, "{health}");
    assert!(health.contains(r#""ready":true"#), "{health}");
    assert!(health.contains("1 account waits"), "{health}");

    // It is tried again, and others still go on.
    let again = |line: &Value| names(line) && line["fields"]["again_after_seconds"] == 2;
    program.line(again).await;
    send(1, 3, "another's next").await;
    until_said(path, "another's next").await;
    for waits in ["at fault", "behind"] {
        assert!(!is_said(path, waits), "{waits}");
    }

    // So it is after a restart.
    program.kill();
    let program = Program::start(path, &program::alone());
    let webhooks = format!("{}/webhooks/hubspot", program.url);
    let body = change(2, 5, "after a restart");
    assert_eq!(deliver(&webhooks, CLIENT_SECRET, body).await.unwrap(), 204);
    until_said(path, "after a restart").await;
    program.line(names).await;

    // As it is where the text says it.
    set_value(path, 0, Vec::new().into());
    for text in ["at fault", "behind"] {
        until_said(path, text).await;
    }
    super::traced::applied(&program).await;
    let metrics = page(&program, "/metrics").await.1;
    assert!(metrics.contains(&format!("{stuck}0\n")), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_whose_bytes_are_damaged_is_set_aside_and_nobody_waits_for_it() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    fill(path, world(4, 2)).await;
    // The first entry holds up its account, so that the second is not applied yet.
    set_value(path, 0, 7.into());
    let program = Program::start(path, &program::alone());
    let webhooks = format!("{}/webhooks/hubspot", program.url);
    for (user, text) in [(0, "first"), (1, "damaged"), (1, "behind")] {
        let body = change(0, user, text);
        assert_eq!(deliver(&webhooks, CLIENT_SECRET, body).await.unwrap(), 204);
    }
    program.line(|line| line["fields"]["position"] == 1).await;
    program.kill();
    let log = Connection::open(path.join("log.sqlite")).unwrap();
    let damage = "UPDATE entries SET body = x'ff', uncompressed_bytes = 300 WHERE position = 2";
    assert_eq!(log.execute(damage, []).unwrap(), 1);
    drop(log);
    set_value(path, 0, Vec::new().into());

    let program = Program::start(path, &program::alone());
    for text in ["first", "behind"] {
        until_said(path, text).await;
    }
    super::traced::applied(&program).await;
    assert!(!is_said(path, "damaged"));
    let said = |line: &Value| {
        let message = "an entry of the event log is damaged, and is set aside";
        let fields = &line["fields"];
        line["level"] == "ERROR" && fields["position"] == 2 && fields["message"] == message
    };
    program.line(said).await;
    let metrics = page(&program, "/metrics").await.1;
    assert!(
        metrics.contains("jimo_connect_accounts_stuck 0\n"),
        "{metrics}"
    );
    let listed = program::printed(path, &["log", "set-aside", "list"]);
    assert!(
        listed.contains("its bytes in the event log are damaged"),
        "{listed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_let_go_of_keeps_neither_the_log_nor_anything_else() {
    let world = World::start().await;
    let connection = world.connect(1_001).await;
    let mappings = json!({"contacts": {"fields": [{"property": "city", "variable": "city"}]}});
    world.map(&connection, mappings).await;
    let contact = world.account(1_001).create("contacts", &[("city", "Lyon")]);
    contact.unwrap();
    world.settle().await;
    let logged = async || {
        let listed = world.host().log.list(Position(0), usize::MAX).await;
        listed.unwrap().len()
    };
    assert!(logged().await > 0);
    world
        .tamper(
            "INSERT INTO consents (hash, step, sealed, expires_at)
                VALUES (x'00', 'authorize', x'00', 0);
             INSERT INTO replays (at, by, asked) VALUES (0, 'nobody', 0);
             CREATE TRIGGER stays BEFORE DELETE ON consents
                BEGIN SELECT RAISE(ABORT, 'it stays'); END;",
        )
        .await;
    world.clock.turn(Duration::from_secs(73 * 3_600));
    world.until(async || logged().await == 0).await;
    let replays = async || world.count("SELECT count(*) FROM replays") == 0;
    world.until(replays).await;
    assert_eq!(world.count("SELECT count(*) FROM consents"), 1);
}
