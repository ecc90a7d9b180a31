//! Files that are torn, damaged, or from backups that do not belong together.

use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use harness::{
    bare::config,
    engine,
    program::{self, Program},
};
use jimo_connect::{
    clock::Clock,
    host::{Error, Host},
    log::EventLog,
    model::{ProjectId, Timestamp},
    store::{self, Store},
};
use tempfile::TempDir;

use super::{
    changes::{Changes, Outcome, outcome, seed},
    random::Random,
};

/// A page of the store.
const PAGE_BYTES: u64 = 4_096;

/// Users whose contacts change.
const USERS: u64 = 50;

/// A data directory, and what was delivered to it.
struct Data {
    directory: TempDir,
    project: ProjectId,
    changes: Changes,
    answered: Vec<String>,
}

impl Data {
    /// With seeded users, and nothing delivered yet.
    async fn seeded() -> Self {
        let directory = TempDir::new().unwrap();
        Self {
            project: seed(directory.path(), USERS).await,
            directory,
            changes: Changes::new(Random::seeded_by("DAMAGE_SEED"), USERS, 20),
            answered: Vec::new(),
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Delivers changes one after another, waits until they are applied, and
    /// kills the program: the write-ahead logs stay.
    async fn deliver(&mut self, count: usize) {
        let program = Program::start(self.path(), &program::alone());
        let bodies = self.changes.take(count);
        let (url, sent) = (program.url.clone(), bodies.clone());
        let send = move || {
            let count = std::sync::atomic::AtomicUsize::new(0);
            super::senders::send(&url, &sent, 1, &count)
        };
        let connections = tokio::task::spawn_blocking(send).await.unwrap();
        assert_eq!(connections[0].answered.len(), count);
        super::traced::applied(&program).await;
        program.kill();
        self.answered.extend(bodies);
    }

    /// A copy of a file and its write-ahead log, as a backup has them.
    fn back_up(&self, name: &str) -> TempDir {
        let backup = TempDir::new().unwrap();
        for name in [name.to_owned(), format!("{name}-wal")] {
            if self.file(&name).exists() {
                std::fs::copy(self.file(&name), backup.path().join(name)).unwrap();
            }
        }
        backup
    }

    fn restore(&self, name: &str, backup: &TempDir) {
        self.remove(name);
        for entry in std::fs::read_dir(backup.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), self.path().join(entry.file_name())).unwrap();
        }
    }

    fn remove(&self, name: &str) {
        for suffix in ["", "-wal", "-shm"] {
            // A file closed in order has no write-ahead log any more.
            let _ = std::fs::remove_file(self.file(&format!("{name}{suffix}")));
        }
    }

    async fn open(&self) -> Result<Host, Error> {
        let url = "http://127.0.0.1:1".parse().unwrap();
        engine::open(config(self.path()), url, Clock::system()).await
    }

    async fn refusal(&self) -> store::Error {
        match self.open().await.err().unwrap() {
            Error::Store(error) => error,
            other => panic!("{other}"),
        }
    }

    async fn outcome(&self) -> Outcome {
        outcome(self.path(), &[self.project]).await
    }

    /// All that was answered is there and applied.
    async fn is_whole(&self) {
        let answered: Vec<_> = self.answered.iter().collect();
        assert_eq!(self.outcome().await.fault(&answered, USERS), None);
    }

    /// Runs `log accept`, and returns what it says.
    fn accept(&self) -> String {
        let output: Output = Command::new(program::path())
            .args(["log", "accept"])
            .env("JIMO_DATA_DIR", self.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn cut(path: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(length(path) - bytes).unwrap();
}

/// The pages of a table, which begin with one.
fn pages_of(path: &Path, table: &str) -> Vec<u64> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection
        .prepare("SELECT pageno FROM dbstat WHERE name = ?1")
        .unwrap();
    let pages = statement.query_map([table], |row| row.get(0));
    let pages: Vec<i64> = pages.unwrap().map(Result::unwrap).collect();
    assert!(!pages.is_empty());
    pages.into_iter().map(|page| page as u64).collect()
}

fn overwrite(path: &Path, at: u64, bytes: usize) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xa5; bytes], at).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_write_ahead_log_is_torn_or_garbage_applies_what_it_lost_again() {
    for damage in [
        // The last page, and the mark of the last commit with it.
        |wal: &Path| cut(wal, 2_000),
        |wal: &Path| overwrite(wal, length(wal) - 3_000, 500),
        |wal: &Path| overwrite(wal, length(wal) / 2, 5_000),
        |wal: &Path| cut(wal, length(wal)),
        |wal: &Path| overwrite(wal, 0, length(wal) as usize),
    ] {
        let mut data = Data::seeded().await;
        data.deliver(8).await;
        damage(&data.file("store.sqlite-wal"));
        data.is_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_what_the_store_has_applied_stops_the_start() {
    for damage in [
        |wal: &Path| cut(wal, 2_000),
        |wal: &Path| overwrite(wal, length(wal) - 3_000, 500),
        |wal: &Path| overwrite(wal, 0, length(wal) as usize),
    ] {
        let mut data = Data::seeded().await;
        data.deliver(8).await;
        damage(&data.file("log.sqlite-wal"));
        let error = data.refusal().await;
        let told = matches!(error, store::Error::LogBehind { log, store: 8 } if log < 8);
        assert!(told, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_was_torn_before_it_was_synced_is_left_out_and_nothing_else() {
    let mut data = Data::seeded().await;
    data.deliver(8).await;
    let log = data.back_up("log.sqlite");
    let store = data.back_up("store.sqlite");
    // A ninth, of which the last page did not reach the disk.
    data.deliver(1).await;
    data.answered.pop();
    drop(log);
    data.restore("store.sqlite", &store);
    cut(&data.file("log.sqlite-wal"), 2_000);
    data.is_whole().await;
    data.deliver(2).await;
    data.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_any_more_stops_the_start_and_is_named() {
    for name in ["store.sqlite", "log.sqlite"] {
        let data = Data::seeded().await;
        overwrite(&data.file(name), 0, 100);
        let said = data.open().await.err().unwrap().to_string();
        for told in [data.file(name).to_str().unwrap(), "damaged", "backup"] {
            assert!(said.contains(told), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_is_told_when_it_is_met_and_holds_up_nothing_but_what_needs_it() {
    let mut data = Data::seeded().await;
    let path = data.file("store.sqlite");
    for page in pages_of(&path, "registers") {
        overwrite(&path, (page - 1) * PAGE_BYTES, PAGE_BYTES as usize);
    }
    let program = Program::start(data.path(), &program::alone());
    let bodies = data.changes.take(3);
    let url = program.url.clone();
    let send = move || {
        let count = std::sync::atomic::AtomicUsize::new(0);
        super::senders::send(&url, &bodies, 1, &count)
    };
    let connections = tokio::task::spawn_blocking(send).await.unwrap();
    // They are durable, and applied once the store is mended.
    assert_eq!(connections[0].answered.len(), 3);
    let line = program
        .line(|line| line["fields"]["error"].to_string().contains("damaged"))
        .await;
    let said = line["fields"]["error"].as_str().unwrap();
    assert!(
        said.contains("user store") && said.contains("backup"),
        "{said}"
    );
    let ready = format!("{}/health/ready", program.url);
    let ready = harness::bare::client().get(ready).send().await.unwrap();
    assert_eq!(ready.status(), 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_from_yesterday_beside_todays_log_applies_what_has_come_since() {
    let mut data = Data::seeded().await;
    data.deliver(5).await;
    let yesterday = data.back_up("store.sqlite");
    data.deliver(5).await;
    data.restore("store.sqlite", &yesterday);
    data.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_from_before_what_the_log_keeps_stops_the_start_and_may_go_on_without() {
    let mut data = Data::seeded().await;
    data.deliver(3).await;
    let yesterday = data.back_up("store.sqlite");
    data.deliver(5).await;
    let log = EventLog::open(data.path()).await.unwrap();
    let all = Timestamp(i64::MAX);
    assert_eq!(
        log.trim(jimo_connect::log::Position(6), all).await.unwrap(),
        6
    );
    drop(log);
    data.restore("store.sqlite", &yesterday);
    let error = data.refusal().await;
    let trimmed = store::Error::LogTrimmed { log: 7, store: 3 };
    assert_eq!(error.to_string(), trimmed.to_string());

    let said = data.accept();
    assert!(said.contains("up to 3"), "{said}");
    assert!(said.contains("7 to 8"), "{said}");
    assert!(said.contains("lost"), "{said}");
    // What came before 4 is applied, and what the log still has.
    let mut kept = data.answered.clone();
    kept.drain(3..6);
    let kept: Vec<_> = kept.into_iter().map(String::into_bytes).collect();
    let outcome = data.outcome().await;
    assert_eq!(outcome.held, super::changes::expected(&kept, USERS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_from_yesterday_beside_todays_store_stops_the_start_and_may_go_on_without() {
    let mut data = Data::seeded().await;
    data.deliver(3).await;
    let yesterday = data.back_up("log.sqlite");
    data.deliver(5).await;
    data.restore("log.sqlite", &yesterday);
    let error = data.refusal().await;
    assert!(
        matches!(error, store::Error::LogBehind { log: 3, store: 8 }),
        "{error}"
    );
    assert!(error.to_string().contains("log accept"), "{error}");

    let said = data.accept();
    assert!(
        said.contains("up to 8") && said.contains("1 to 3"),
        "{said}"
    );
    // What is delivered from now on takes the positions of what was lost.
    data.deliver(3).await;
    let applied = data.answered.iter().cloned().map(String::into_bytes);
    let applied: Vec<_> = applied.collect();
    let outcome = data.outcome().await;
    assert_eq!(outcome.logged.len(), 6);
    assert_eq!(outcome.held, super::changes::expected(&applied, USERS));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_log_may_be_gone_on_with_and_all_that_it_holds_is_applied() {
    let mut data = Data::seeded().await;
    data.deliver(3).await;
    data.remove("log.sqlite");
    let error = data.refusal().await;
    assert!(matches!(error, store::Error::ForeignLog), "{error}");
    let said = data.accept();
    assert!(said.contains("holds no delivery"), "{said}");
    let before = data.answered.len();
    data.deliver(2).await;
    let outcome = data.outcome().await;
    assert_eq!(outcome.logged.len(), data.answered.len() - before);
    let applied = data.answered.iter().cloned().map(String::into_bytes);
    let applied: Vec<_> = applied.collect();
    assert_eq!(outcome.held, super::changes::expected(&applied, USERS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_deliveries_and_no_store_stops_the_start() {
    let mut data = Data::seeded().await;
    data.deliver(1).await;
    data.remove("store.sqlite");
    let error = data.refusal().await;
    assert!(matches!(error, store::Error::NoStore), "{error}");
    // Nothing was taken from the log meanwhile.
    let store = Store::open(data.path()).unwrap();
    let place = store.read(|tx| tx.log_position()).await.unwrap();
    assert_eq!(place.0, 0);
    let error = data.refusal().await;
    assert!(matches!(error, store::Error::NoStore), "{error}");
}
