//! The program as a process: started, looked into, and what it uses of the
//! machine.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use harness::{
    bare::{APP_ID, CLIENT_SECRET},
    program::Program,
};

/// The program on a data directory, with no HubSpot behind it.
pub fn start(directory: &Path) -> Program {
    let settings = [
        ("HUBSPOT_CLIENT_ID", "client"),
        ("HUBSPOT_CLIENT_SECRET", CLIENT_SECRET),
        ("HUBSPOT_APP_ID", &APP_ID.to_string()),
        ("HUBSPOT_API_URL", "http://127.0.0.1:9"),
        ("JIMO_LOG", "error"),
    ];
    Program::start(directory, &settings)
}

/// Waits until everything in the log is applied.
pub fn drained(program: &Program) {
    while metric(program, "jimo_connect_log_waiting") > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A metric without labels.
pub fn metric(program: &Program, name: &str) -> u64 {
    let metrics = get(program, "/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .parse()
        .unwrap()
}

/// What a page answers, with its head.
pub fn get(program: &Program, path: &str) -> String {
    let address = program.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The machine, and how many of its processors there are.
pub fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap();
    let models: Vec<&str> = processors
        .lines()
        .filter(|line| line.starts_with("model name"))
        .filter_map(|line| Some(line.split_once(": ")?.1))
        .collect();
    let model = models.first().copied().unwrap_or("an unknown processor");
    format!(
        "{} × {model}",
        std::thread::available_parallelism().unwrap()
    )
}

/// CPU time by kind of thread.
pub type Cpu = BTreeMap<String, Duration>;

/// The runtime's own threads, which serve HTTP.
pub const WORKERS: &str = "runtime";

/// Threads that the runtime hands work to: reading, splitting, passes.
pub const BLOCKING: &str = "blocking";

/// The thread that writes the store.
pub const STORE_WRITER: &str = "store-writer";

/// The thread that writes the log.
pub const LOG_WRITER: &str = "log-writer";

/// The thread that moves what was committed into the store's file.
pub const STORE_CHECKPOINTS: &str = "store-moves";

/// The thread that moves what was committed into the log's file.
pub const LOG_CHECKPOINTS: &str = "log-moves";

/// What each kind of thread has used.
pub fn cpu(program: &Program) -> Cpu {
    let tasks = format!("/proc/{}/task", program.id());
    let mut threads: Vec<u32> = fs::read_dir(tasks)
        .unwrap()
        .map(|task| task.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    threads.sort_unstable();
    let workers = std::thread::available_parallelism().unwrap().get();
    let mut of_runtime = 0;
    let mut used = Cpu::new();
    for thread in threads {
        let task = format!("/proc/{}/task/{thread}", program.id());
        // A thread may end meanwhile.
        let (Ok(name), Ok(time)) = (
            fs::read_to_string(format!("{task}/comm")),
            fs::read_to_string(format!("{task}/schedstat")),
        ) else {
            continue;
        };
        let name = match name.trim_end() {
            // Both kinds have one name; the workers are started first.
            "tokio-rt-worker" => {
                of_runtime += 1;
                if of_runtime <= workers {
                    WORKERS
                } else {
                    BLOCKING
                }
            }
            name => name,
        };
        *used.entry(name.to_owned()).or_default() += on_cpu(&time);
    }
    used
}

/// What the thread that asks has used.
pub fn own_cpu() -> Duration {
    on_cpu(&fs::read_to_string("/proc/thread-self/schedstat").unwrap())
}

/// The time on a CPU: nanoseconds, which come first (proc(5)).
fn on_cpu(schedstat: &str) -> Duration {
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

/// What each kind of thread used since.
pub fn cpu_since(program: &Program, before: &Cpu) -> Cpu {
    let mut used = cpu(program);
    for (name, time) in &mut used {
        *time = time.saturating_sub(before.get(name).copied().unwrap_or_default());
    }
    used
}

/// Memory of the program, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// All that it holds in memory.
    pub resident: u64,
    /// Of that, what is its own.
    pub anonymous: u64,
    /// Of that, what is pages of files, which the kernel takes back at will.
    pub file: u64,
    /// The most that it ever held.
    pub peak: u64,
}

/// What it holds now.
pub fn memory(program: &Program) -> Memory {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = line.unwrap().trim_start_matches(':').trim();
        kibibytes.trim_end_matches(" kB").parse().unwrap()
    };
    Memory {
        resident: of("VmRSS"),
        anonymous: of("RssAnon"),
        file: of("RssFile"),
        peak: of("VmHWM"),
    }
}
