//! The program itself: another process, with a log that can be read.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use hubspot_sim::{App, Simulator};
use jimo_connect::web::descriptors;
use serde_json::Value;

use crate::bare::CLIENT_SECRET;

/// How long a line may take to be written.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `serve` on a data directory; killed when it is dropped.
pub struct Program {
    /// Its address.
    pub url: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts the program with these settings beside the data directory and a
    /// free port. Its log is kept in the directory, as JSON.
    pub fn start(directory: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_under(&[], directory, &directory.join("program.log"), settings)
    }

    /// As [`Program::start`], with at most so many open files and connections.
    ///
    /// Raises what this process may have open: it opens the connections.
    pub fn start_within(open_max: usize, directory: &Path, settings: &[(&str, &str)]) -> Self {
        descriptors::raise();
        let script = format!("ulimit -n {open_max} && exec \"$0\" \"$@\"");
        let limited = ["sh".to_owned(), "-c".to_owned(), script];
        Self::start_under(
            &limited,
            directory,
            &directory.join("program.log"),
            settings,
        )
    }

    /// [`Program::start`], by way of a command that replaces itself with it,
    /// and with its log elsewhere.
    pub fn start_under(
        wrapper: &[String],
        directory: &Path,
        log: &Path,
        settings: &[(&str, &str)],
    ) -> Self {
        let program = path();
        let mut command = match wrapper {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.arg("serve");
        Self::of(command, directory, log, settings)
    }

    /// The host with a clock that stands at a moment, in milliseconds since
    /// 1970, until it is turned. Its log is kept as [`Program::start`] does.
    pub fn start_at(moment: i64, directory: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(beside_the_tests("turned-host"));
        command.arg(moment.to_string()).stdin(Stdio::piped());
        Self::of(command, directory, &directory.join("program.log"), settings)
    }

    /// Turns the clock of a host that was started with one.
    pub fn turn_to(&mut self, moment: i64) {
        let control = self.child.stdin.as_mut().unwrap();
        writeln!(control, "{moment}").unwrap();
    }

    fn of(mut command: Command, directory: &Path, log: &Path, settings: &[(&str, &str)]) -> Self {
        let log = log.to_path_buf();
        let mut child = command
            .env("JIMO_LISTEN", "127.0.0.1:0")
            .env("JIMO_DATA_DIR", directory)
            .env("JIMO_LOG_FORMAT", "json")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().strip_prefix("listening on ");
        let url = url.unwrap_or_else(|| panic!("{}", std::fs::read_to_string(&log).unwrap()));
        Self {
            url: url.to_owned(),
            child,
            log,
        }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that it holds, in bytes, without the files that it has mapped.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let mut lines = status.lines();
        let held = lines.find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = held.unwrap().trim().strip_suffix(" kB").unwrap();
        kilobytes.trim().parse::<u64>().unwrap() * 1_024
    }

    /// Ends it without warning.
    pub fn kill(mut self) {
        self.end();
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The first line that says so, once it is written.
    pub async fn line(&self, says: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            // What follows the last line break is still being written.
            let log = self.log();
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let mut lines = whole
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            if let Some(line) = lines.find(&says) {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it is not in the log: {}", self.log());
    }

    /// How it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it does not end: {}", self.log());
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// Settings of a program with an app and no HubSpot.
pub fn alone() -> [(&'static str, &'static str); 5] {
    // The harness's app.
    [
        ("HUBSPOT_CLIENT_ID", "client"),
        ("HUBSPOT_CLIENT_SECRET", CLIENT_SECRET),
        ("HUBSPOT_APP_ID", "54321"),
        ("HUBSPOT_API_URL", "http://127.0.0.1:9"),
        ("JIMO_LOG", "info"),
    ]
}

/// A simulated HubSpot, as a program is told of it.
pub struct Simulated {
    app: App,
    app_id: String,
    api: String,
}

impl Simulated {
    /// As it is now.
    pub fn of(sim: &Simulator) -> Self {
        let app = sim.app();
        Self {
            app_id: app.id.to_string(),
            api: sim.url(),
            app,
        }
    }

    /// Settings of a program before it.
    pub fn settings(&self) -> [(&'static str, &str); 4] {
        [
            ("HUBSPOT_CLIENT_ID", &self.app.client_id),
            ("HUBSPOT_CLIENT_SECRET", &self.app.client_secret),
            ("HUBSPOT_APP_ID", &self.app_id),
            ("HUBSPOT_API_URL", &self.api),
        ]
    }
}

/// What a command of the program printed that went well.
pub fn printed(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What a command of the program told that was refused.
pub fn refused(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(path())
        .args(arguments)
        .env("JIMO_DATA_DIR", directory)
        .output()
        .unwrap()
}

/// The program, as `cargo build` leaves it beside the tests.
pub fn path() -> PathBuf {
    beside_the_tests("jimo-connect")
}

fn beside_the_tests(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // A test's program is at target/PROFILE/deps/NAME.
    let program = test.ancestors().nth(2).unwrap().join(name);
    assert!(
        program.exists(),
        "build {} first, with `cargo build --release`",
        program.display()
    );
    program
}
