//! The program under strace: what it did to the disk, and which deliveries it
//! answered meanwhile.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::AtomicUsize,
    time::Duration,
};

use harness::{
    bare::client,
    program::{self, Program},
};
use tempfile::TempDir;

use super::{
    image::Files,
    senders,
    trace::{self, Event},
};

/// How long until it is looked again whether all is applied.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What happened, in its order.
pub enum Step {
    /// To the disk.
    Disk(Event),
    /// This delivery was about to be answered 204.
    Answered(usize),
}

/// Where a disk is looked at, and the trace and the log beside it are not.
pub struct Root {
    directory: TempDir,
    /// The disk's own directory.
    pub disk: PathBuf,
    lies: bool,
}

impl Root {
    /// A disk of its own.
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let disk = directory.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        Self {
            directory,
            disk,
            lies: false,
        }
    }

    /// A disk that says that it synced, and did not.
    pub fn that_lies() -> Self {
        Self {
            lies: true,
            ..Self::new()
        }
    }

    /// The command that runs another so that what it does is traced.
    pub fn tracer(&self) -> Vec<String> {
        trace::command(&self.trace(), self.lies)
    }

    /// What was traced. The next trace begins anew.
    pub fn traced(&self) -> Vec<Event> {
        let events = trace::read(&self.trace());
        std::fs::remove_file(self.trace()).unwrap();
        events
    }

    fn trace(&self) -> PathBuf {
        self.directory.path().join("trace")
    }
}

/// Runs the program under strace, sends it deliveries over so many connections, waits
/// until they are applied and whatever else is to be done is, and kills it.
pub async fn serve(
    root: &Root,
    data: &Path,
    bodies: &[String],
    connections: usize,
    done: impl AsyncFnOnce(&Program),
) -> Vec<Step> {
    let log = root.directory.path().join("log");
    let program = Program::start_under(&root.tracer(), data, &log, &program::alone());
    let connections = {
        let (url, bodies) = (program.url.clone(), bodies.to_vec());
        let send = move || senders::send(&url, &bodies, connections, &AtomicUsize::new(0));
        tokio::task::spawn_blocking(send).await.unwrap()
    };
    applied(&program).await;
    done(&program).await;
    program.kill();
    steps(root.traced(), &connections)
}

/// Waits until everything in the log is applied.
pub async fn applied(program: &Program) {
    let metrics = format!("{}/metrics", program.url);
    loop {
        let text = client().get(&metrics).send().await.unwrap();
        if text.text().await.unwrap().contains("log_waiting 0\n") {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Tells which delivery each answer was to.
pub fn steps(events: Vec<Event>, connections: &[senders::Connection]) -> Vec<Step> {
    let mut answers: BTreeMap<u16, std::slice::Iter<'_, usize>> = connections
        .iter()
        .map(|connection| (connection.port, connection.answered.iter()))
        .collect();
    let step = |event| match event {
        Event::Said {
            port: Some(port),
            bytes,
        } if bytes.starts_with(b"HTTP/1.1 204 ") => {
            let answered = answers.get_mut(&port)?.next()?;
            Some(Step::Answered(*answered))
        }
        Event::Said { .. } => None,
        event => Some(Step::Disk(event)),
    };
    events.into_iter().filter_map(step).collect()
}

/// The files of a directory.
pub fn files(directory: &Path) -> Files {
    let entries = std::fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

/// Makes what is left elsewhere.
pub fn made(left: &Files, root: &Path) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (path, bytes) in left {
        let path: PathBuf = directory.path().join(path.strip_prefix(root).unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    directory
}
