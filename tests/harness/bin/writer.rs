//! Writes rows to a file of SQLite and says on standard output up to which of them all
//! are durable: through the host's own writer, most of them as what can be done again,
//! or with `synchronous=OFF`. What it says is held against its trace.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails by panicking"
)]

use std::path::PathBuf;

use jimo_connect::sqlite::{Database, Error, Options};

/// Rows that are written.
const ROWS: i64 = 120;

/// The bytes of each.
const ROW_BYTES: usize = 3_000;

/// Few, so that the write-ahead log begins anew many times.
const LONG_BYTES: u32 = 16 * 4_096;

const SCHEMA: &str = "CREATE TABLE rows (number INTEGER PRIMARY KEY, body BLOB NOT NULL)";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap());
    let path = directory.join("rows.sqlite");
    match arguments.next().as_deref() {
        Some("host") => tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(as_the_host_does(path)),
        Some("off") => without_syncs(path),
        other => panic!("{other:?}"),
    }
}

async fn as_the_host_does(path: PathBuf) {
    let database = Database::open(&Options {
        path,
        page_size_bytes: 4_096,
        moved_bytes: LONG_BYTES,
        long_bytes: LONG_BYTES,
        cache_kibibytes: 1_024,
        migrations: &[SCHEMA],
        functions: jimo_connect::sqlite::no_functions,
    })
    .unwrap();
    for number in 1..=ROWS {
        let insert = move |connection: &rusqlite::Connection| insert(connection, number);
        // Of six, one takes all before it to the disk with it, and one is taken there.
        if number % 6 == 3 {
            database.write(insert).await.unwrap();
            println!("{number}");
            continue;
        }
        database.write_repeatable(insert).await.unwrap();
        if number % 6 == 0 {
            database.sync().await.unwrap();
            println!("{number}");
        }
    }
}

fn without_syncs(path: PathBuf) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = rusqlite::Connection::open(path).unwrap();
    let set = |name, value| connection.pragma_update(None, name, value).unwrap();
    set("journal_mode", "WAL");
    set("synchronous", "OFF");
    connection.execute_batch(SCHEMA).unwrap();
    for number in 1..=ROWS {
        insert(&connection, number).unwrap();
        println!("{number}");
    }
}

fn insert(connection: &rusqlite::Connection, number: i64) -> Result<(), Error> {
    let body = vec![number as u8; ROW_BYTES];
    connection.execute("INSERT INTO rows VALUES (?1, ?2)", (number, body))?;
    Ok(())
}
