use std::{os::unix::fs::PermissionsExt, sync::Barrier};

use super::{readers::READERS_MAX, *};

const PAGE_BYTES: u32 = 4_096;

/// A file in a directory, without tables.
fn options(directory: &Path) -> Options {
    Options {
        path: directory.join("file.sqlite"),
        page_size_bytes: PAGE_BYTES,
        cache_kibibytes: 1_024,
        moved_bytes: 1_000 * PAGE_BYTES,
        long_bytes: 1_000 * PAGE_BYTES,
        migrations: &[],
        functions: no_functions,
    }
}

fn opened(options: &Options) -> Arc<Database> {
    Arc::new(Database::open(options).expect("opens"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_write_ahead_log_begins_anew_however_busy_writer_and_readers_are() {
    // A page or two a commit, and twenty: each moves a hundred commits together.
    for (body_bytes, long_pages) in [(2_000, 160), (80_000, 1_600)] {
        begins_anew(body_bytes, long_pages, 0, 5).await;
        // Somebody always looks at what it held before, until the writer waits for them.
        begins_anew(body_bytes, long_pages, READERS_MAX, 12).await;
    }
}

/// Much more is written than so many times what is long, and it is
/// never as long as that.
async fn begins_anew(body_bytes: u32, long_pages: u16, readers: usize, too_long: u64) {
    let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
    let options = Options {
        // As the store's.
        moved_bytes: u32::from(long_pages) / 20 * PAGE_BYTES,
        long_bytes: u32::from(long_pages) * PAGE_BYTES,
        migrations: &["CREATE TABLE bodies (body BLOB)"],
        ..options(&directory)
    };
    let database = opened(&options);
    let ended = tokio_util::sync::CancellationToken::new();
    let readers: Vec<_> = (0..readers)
        .map(|_| {
            let (database, ended) = (database.clone(), ended.clone());
            tokio::spawn(async move {
                while !ended.is_cancelled() {
                    let count = |connection: &Connection| {
                        let sql = "SELECT sum(length(body)) FROM bodies";
                        connection
                            .query_one(sql, [], |row| row.get::<_, Option<i64>>(0))
                            .map_err(Error::from)
                    };
                    database.read(count).await.expect("reads");
                }
            })
        })
        .collect();
    for _ in 0..1_600 {
        let insert = move |connection: &Connection| {
            let sql = "INSERT INTO bodies VALUES (zeroblob(?1))";
            connection.execute(sql, [body_bytes]).map_err(Error::from)
        };
        database.write(insert).await.expect("writes");
    }
    // It is never made shorter: this is as long as it ever was.
    let log = std::fs::metadata(directory.join("file.sqlite-wal")).expect("a log");
    let pages = log.len() / u64::from(options.page_size_bytes);
    let enough = too_long * u64::from(long_pages);
    assert!(pages < enough, "{pages} pages, {body_bytes} bytes a commit");
    ended.cancel();
    for reader in readers {
        reader.await.expect("a reader");
    }
    drop(database);
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_overwritten_is_in_no_file_once_the_write_ahead_log_is_emptied() {
    let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
    let database = opened(&Options {
        migrations: &["CREATE TABLE bodies (body TEXT)"],
        ..options(&directory)
    });
    let write = async |sql: &'static str| {
        let work = move |connection: &Connection| connection.execute(sql, []).map_err(Error::from);
        database.write(work).await.expect("writes")
    };
    let files_with = |text: &str| {
        let files = std::fs::read_dir(&directory).expect("files");
        let files = files.map(|file| std::fs::read(file.expect("a file").path()));
        let has = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|w| w == text.as_bytes());
        files.filter(|bytes| bytes.as_ref().is_ok_and(has)).count()
    };
    write("INSERT INTO bodies VALUES ('a secret that is long enough')").await;
    write("UPDATE bodies SET body = 'open'").await;
    assert!(files_with("a secret that") > 0);
    // A reader that looks at what was is in the way, and holds up nobody.
    let (begun, looking) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let reading = database.read(move |connection| {
        let count = "SELECT count(*) FROM bodies";
        let _: i64 = connection.query_one(count, [], |row| row.get(0))?;
        begun.send(()).expect("told");
        let _ = ended.recv();
        Ok::<_, Error>(())
    });
    let emptying = async {
        tokio::task::block_in_place(|| looking.recv()).expect("begun");
        write("UPDATE bodies SET body = 'newer'").await;
        let emptied = database.empty_write_ahead_log().await;
        assert!(!emptied.expect("told"));
        write("UPDATE bodies SET body = 'newest'").await;
        end.send(()).expect("ends");
    };
    let (read, ()) = futures_util::future::join(reading, emptying).await;
    read.expect("read");
    assert!(database.empty_write_ahead_log().await.expect("told"));
    assert_eq!((files_with("a secret that"), files_with("newest")), (0, 1));
    drop(database);
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[tokio::test]
async fn no_more_reads_run_at_once_than_may_and_the_directory_is_its_owners() {
    let parent = std::env::temp_dir().join(format!("jimo-sqlite-{:x}", rand::random::<u64>()));
    let directory = parent.join("data");
    let database = opened(&options(&directory));
    let mode = std::fs::metadata(&directory).expect("directory");
    assert_eq!(mode.permissions().mode() & 0o777, 0o700);

    // Each read waits until as many run as may.
    let all_at_once = Arc::new(Barrier::new(READERS_MAX));
    let reads = (0..READERS_MAX * 8).map(|_| {
        let all_at_once = all_at_once.clone();
        database.read(move |_| {
            all_at_once.wait();
            Ok::<_, Error>(())
        })
    });
    for read in futures_util::future::join_all(reads).await {
        read.expect("reads");
    }
    assert_eq!(database.readers.idle(), READERS_MAX);
    drop(database);
    std::fs::remove_dir_all(&parent).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_writes_much_begins_a_transaction_and_undoes_itself_alone() {
    let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
    std::fs::create_dir_all(&directory).expect("made");
    let database = opened(&options(&directory));
    let run =
        |connection: &Connection, sql: &str| connection.execute_batch(sql).map_err(Error::from);
    let making = move |connection: &Connection| run(connection, "CREATE TABLE words (word)");
    database.write(making).await.expect("made");
    // All of these wait while the writer is kept busy.
    let (let_go, kept) = std::sync::mpsc::channel::<()>();
    let busy = database.write(move |_| {
        let _ = kept.recv();
        Ok::<_, Error>(())
    });
    let before =
        database.write(move |connection| run(connection, "INSERT INTO words VALUES ('before')"));
    let (reader, path) = (database.clone(), directory.join("file.sqlite"));
    let much = database.write_much(move |connection| {
        run(connection, "INSERT INTO words VALUES ('much')")?;
        // What came before is committed: others see it.
        let other = Connection::open(&path)?;
        let seen: i64 = other.query_one("SELECT count(*) FROM words", [], |row| row.get(0))?;
        assert_eq!(seen, 1);
        Err::<(), _>(Error::Closed)
    });
    let after =
        database.write(move |connection| run(connection, "INSERT INTO words VALUES ('after')"));
    let letting_go = async { let_go.send(()).expect("waits") };
    let (busy, before, much, after, ()) =
        futures_util::join!(busy, before, much, after, letting_go);
    assert!(busy.is_ok() && before.is_ok() && much.is_err() && after.is_ok());
    let words = reader.read(|connection| {
        let sql = "SELECT group_concat(word, ' ') FROM words";
        Ok::<String, Error>(connection.query_one(sql, [], |row| row.get(0))?)
    });
    assert_eq!(words.await.expect("reads"), "before after");
    drop(reader);
    drop(database);
    std::fs::remove_dir_all(&directory).expect("removed");
}

fn endless(connection: &Connection) -> Result<i64, Error> {
    let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n)
               SELECT count(*) FROM n";
    Ok(connection.query_one(sql, [], |row| row.get(0))?)
}

#[tokio::test]
async fn a_question_that_takes_too_long_ends_and_what_is_read_after_it_does_not() {
    let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
    std::fs::create_dir_all(&directory).expect("made");
    let database = opened(&options(&directory));
    let asked = database.ask_within(Duration::ZERO, endless).await;
    assert!(matches!(asked, Err(Error::TookTooLong)), "{asked:?}");
    let counted = database.read(|connection| {
        let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 100000)
                   SELECT count(*) FROM n";
        Ok::<i64, Error>(connection.query_one(sql, [], |row| row.get(0))?)
    });
    assert_eq!(counted.await.expect("reads"), 100_000);
    drop(database);
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_read_waits_for_no_question_however_many_are_asked() {
    let directory = std::env::temp_dir().join(format!("jimo-{:x}", rand::random::<u64>()));
    std::fs::create_dir_all(&directory).expect("made");
    let database = opened(&options(&directory));
    let (under_way, end) = (
        Arc::new(Barrier::new(readers::QUESTIONS_MAX + 1)),
        Arc::new(Barrier::new(readers::QUESTIONS_MAX + 1)),
    );
    let ask = |meets: bool| {
        let (database, under_way, end) = (database.clone(), under_way.clone(), end.clone());
        tokio::spawn(async move {
            let question = move |_: &Connection| {
                if meets {
                    under_way.wait();
                    end.wait();
                }
                Ok::<_, Error>(())
            };
            database.ask(question).await
        })
    };
    let mut asked: Vec<_> = (0..readers::QUESTIONS_MAX).map(|_| ask(true)).collect();
    tokio::task::block_in_place(|| under_way.wait());
    // These wait, and take nobody's place.
    asked.extend((0..readers::READERS_MAX).map(|_| ask(false)));
    database.read(|_| Ok::<_, Error>(())).await.expect("reads");
    tokio::task::block_in_place(|| end.wait());
    for asked in asked {
        asked.await.expect("task").expect("asked");
    }
    drop(database);
    std::fs::remove_dir_all(&directory).expect("removed");
}
