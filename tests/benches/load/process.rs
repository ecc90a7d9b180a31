//! What the program uses of the machine, and how far it is.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use harness::{
    bare::{APP_ID, CLIENT_SECRET},
    program::Program,
};

/// The kernel counts CPU time in hundredths of a second (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

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
    while metric(program, "jimo_connect_log_waiting") > 0.0 {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A metric without labels.
fn metric(program: &Program, name: &str) -> f64 {
    let metrics = get(program, "/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .parse()
        .unwrap()
}

fn get(program: &Program, path: &str) -> String {
    let address = program.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Seconds of CPU that each kind of thread has used.
pub fn cpu(program: &Program) -> BTreeMap<String, f64> {
    let mut used = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{}/task", program.id())).unwrap() {
        // A thread may end meanwhile.
        let Ok(stat) = std::fs::read_to_string(task.unwrap().path().join("stat")) else {
            continue;
        };
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        *used.entry(name.to_owned()).or_default() += (ticks(11) + ticks(12)) / TICKS_PER_SECOND;
    }
    used
}

/// The most memory that it has held, in MiB.
pub fn peak_memory(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes / 1_024
}
