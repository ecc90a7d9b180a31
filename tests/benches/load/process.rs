//! The program, run as an operator would, and what it uses of the machine.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use harness::bare::{APP_ID, CLIENT_SECRET, program};

/// The program on a data directory; killed when it is dropped.
pub struct Program {
    child: Child,
    /// Where it listens.
    pub url: String,
}

/// The kernel counts CPU time in hundredths of a second (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

impl Program {
    /// Starts it; it listens when this returns.
    pub fn start(directory: &Path) -> Self {
        let mut child = Command::new(program())
            .arg("serve")
            .env("JIMO_LISTEN", "127.0.0.1:0")
            .env("JIMO_DATA_DIR", directory)
            .env("HUBSPOT_CLIENT_ID", "client")
            .env("HUBSPOT_CLIENT_SECRET", CLIENT_SECRET)
            .env("HUBSPOT_APP_ID", APP_ID.to_string())
            .env("HUBSPOT_API_URL", "http://127.0.0.1:9")
            .env("JIMO_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap();
        Self {
            child,
            url: url.to_owned(),
        }
    }

    /// Waits until everything in the log is applied.
    pub fn drained(&self) {
        while self.metric("jimo_connect_log_waiting") > 0.0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A metric without labels.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics");
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
            .parse()
            .unwrap()
    }

    fn get(&self, path: &str) -> String {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Seconds of CPU that each kind of thread has used.
    pub fn cpu(&self) -> BTreeMap<String, f64> {
        let mut used = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            // A thread may end meanwhile.
            let Ok(stat) = std::fs::read_to_string(task.unwrap().path().join("stat")) else {
                continue;
            };
            let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(") ").unwrap();
            let fields: Vec<&str> = rest.split(' ').collect();
            let ticks: f64 = [11, 12]
                .iter()
                .map(|at| fields[*at].parse::<f64>().unwrap())
                .sum();
            *used.entry(name.to_owned()).or_default() += ticks / TICKS_PER_SECOND;
        }
        used
    }

    /// Says what CPU each kind of thread has used since, and the most memory.
    pub fn report_cpu(&self, before: &BTreeMap<String, f64>) {
        let used: Vec<_> = self
            .cpu()
            .into_iter()
            .map(|(name, seconds)| {
                let since = seconds - before.get(&name).copied().unwrap_or_default();
                format!("{name} {since:.1} s")
            })
            .collect();
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        println!("  CPU: {}; {peak}", used.join(", "));
    }

    /// Stops it.
    pub fn stop(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
