//! What a process asked of the file system, and when it answered, as strace(1)
//! saw it.
//!
//! A write counts from the moment its call returned, a sync for what was
//! written before its call began and from the moment it returned, an answer
//! from the moment its call began. So what the trace says was on disk before
//! an answer was.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The calls that are looked at: all that change files or names, and answers.
const CALLS: &str = "openat,open,creat,mkdir,mkdirat,pwrite64,pwritev,pwritev2,write,writev,\
    ftruncate,truncate,fallocate,fdatasync,fsync,sync_file_range,msync,unlink,unlinkat,rename,\
    renameat,renameat2,link,linkat,sendto,sendmsg";

/// Longer than anything that is written at once.
const STRING_BYTES_MAX: &str = "4000000";

/// How long the tracer may take to end after the process has.
const PATIENCE: Duration = Duration::from_secs(60);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A directory was made.
    Directory(PathBuf),
    /// A file was opened that is made where it is not there.
    Opened(PathBuf),
    /// Bytes were written; at the end where no offset is given.
    Written {
        path: PathBuf,
        offset: Option<u64>,
        bytes: Vec<u8>,
    },
    /// A file got another length.
    Resized(PathBuf, u64),
    /// A sync began, told apart by its thread.
    SyncBegun { thread: u32, path: PathBuf },
    /// And ended well.
    Synced { thread: u32, path: PathBuf },
    /// A name went.
    Removed(PathBuf),
    /// A file got a further name.
    Linked(PathBuf, PathBuf),
    /// A process said something, to this port or on standard output.
    Said { port: Option<u16>, bytes: Vec<u8> },
}

/// The command that runs another under strace and is replaced by it. With
/// `lying_disk`, every sync returns well and does nothing.
pub fn command(output: &Path, lying_disk: bool) -> Vec<String> {
    let mut command: Vec<String> = [
        "strace",
        // The tracer is not the parent: signals reach the process itself.
        "-D",
        "-f",
        "--seccomp-bpf",
        "-yy",
        "-xx",
        "-s",
        STRING_BYTES_MAX,
        "-e",
    ]
    .map(str::to_owned)
    .into();
    command.push(format!("trace={CALLS}"));
    if lying_disk {
        command.push("-e".to_owned());
        command.push("inject=fsync,fdatasync:retval=0".to_owned());
    }
    command.push("-o".to_owned());
    command.push(output.to_str().unwrap().to_owned());
    command
}

/// Reads a trace once the process has ended.
pub fn read(output: &Path) -> Vec<Event> {
    let begun = Instant::now();
    loop {
        let trace = std::fs::read_to_string(output).unwrap();
        let last = trace.trim_end().rsplit('\n').next().unwrap_or_default();
        if trace.ends_with('\n') && last.contains(" +++ ") && is_over(&trace) {
            return parse(&trace);
        }
        assert!(begun.elapsed() < PATIENCE, "the trace does not end: {last}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the first thread, which is the process, has ended: it is the last.
fn is_over(trace: &str) -> bool {
    let process = trace.split(' ').next().unwrap_or_default();
    let ended = |line: &str| line.starts_with(process) && line.contains(" +++ ");
    trace.lines().rev().take(64).any(ended)
}

fn parse(trace: &str) -> Vec<Event> {
    let mut unfinished: BTreeMap<u32, String> = BTreeMap::new();
    let mut events = Vec::new();
    for line in trace.lines() {
        let (thread, rest) = line.split_once(' ').unwrap();
        let thread = thread.parse().unwrap();
        let rest = rest.trim_start();
        if let Some(head) = rest.strip_suffix(" <unfinished ...>") {
            events.extend(begun(thread, head));
            unfinished.insert(thread, head.to_owned());
        } else if rest.starts_with("<... ") {
            let (_, tail) = rest.split_once(" resumed>").unwrap();
            let head = unfinished.remove(&thread).unwrap();
            events.extend(ended(thread, &format!("{head}{tail}")));
        } else {
            events.extend(begun(thread, rest));
            events.extend(ended(thread, rest));
        }
    }
    events
}

/// What counts from the beginning of a call.
fn begun(thread: u32, call: &str) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    let first = arguments.split([',', ')']).next()?;
    match name {
        "fsync" | "fdatasync" => Some(Event::SyncBegun {
            thread,
            path: descriptor(first)?,
        }),
        "write" | "writev" | "sendto" | "sendmsg" => {
            let port = peer(first);
            let standard_output = first.starts_with("1<");
            if port.is_none() && !standard_output {
                return None;
            }
            let bytes = strings(arguments).concat();
            Some(Event::Said { port, bytes })
        }
        _ => None,
    }
}

/// What counts from the end of a call that went well.
fn ended(thread: u32, call: &str) -> Option<Event> {
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let parts: Vec<&str> = arguments
        .trim_end()
        .trim_end_matches(')')
        .split(", ")
        .collect();
    let number = |part: &str| part.parse::<u64>().unwrap();
    match name {
        "mkdir" => Some(Event::Directory(named(parts[0])?)),
        "mkdirat" => Some(Event::Directory(named(parts[1])?)),
        "openat" if parts[2].contains("O_CREAT") => Some(Event::Opened(named(parts[1])?)),
        "pwrite64" => Some(Event::Written {
            path: descriptor(parts[0])?,
            offset: Some(number(parts[3])),
            bytes: written(parts[1], result),
        }),
        "write" if peer(parts[0]).is_none() => Some(Event::Written {
            path: descriptor(parts[0])?,
            offset: None,
            bytes: written(parts[1], result),
        }),
        "ftruncate" => Some(Event::Resized(descriptor(parts[0])?, number(parts[1]))),
        "fsync" | "fdatasync" if !result.contains("INJECTED") => Some(Event::Synced {
            thread,
            path: descriptor(parts[0])?,
        }),
        "unlink" => Some(Event::Removed(named(parts[0])?)),
        "unlinkat" => Some(Event::Removed(named(parts[1])?)),
        "link" => Some(Event::Linked(named(parts[0])?, named(parts[1])?)),
        "linkat" => Some(Event::Linked(named(parts[1])?, named(parts[3])?)),
        "writev" | "sendto" | "sendmsg" | "write" | "openat" | "open" | "fsync" | "fdatasync" => {
            None
        }
        other => panic!("the program uses {other}, which is not understood here: {call}"),
    }
}

/// The bytes of a text as `-xx` writes them: `"\x41\x42"`.
fn decode(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits
        .map(|byte| u8::from_str_radix(&byte[..2], 16).unwrap())
        .collect()
}

fn path(text: &str) -> PathBuf {
    String::from_utf8(decode(text)).unwrap().into()
}

/// A path that is given by itself.
fn named(argument: &str) -> Option<PathBuf> {
    argument.starts_with('"').then(|| path(argument))
}

/// The path behind a descriptor: `12<\x2f…>`. What has no name any more, or
/// never had one, is nothing that a power cut leaves.
fn descriptor(argument: &str) -> Option<PathBuf> {
    let (_, named) = argument.split_once('<')?;
    let named = named.strip_suffix('>')?;
    named.starts_with("\\x2f").then(|| path(named))
}

/// The port at the other end of a connection: `9<TCP:[127.0.0.1:1->127.0.0.1:2]>`.
fn peer(argument: &str) -> Option<u16> {
    let (_, connection) = argument.split_once("<TCP:[")?;
    let (_, port) = connection.trim_end_matches("]>").rsplit_once(':')?;
    port.parse().ok()
}

fn written(text: &str, result: &str) -> Vec<u8> {
    assert!(!text.ends_with("..."), "the trace is cut off");
    let mut bytes = decode(text);
    let count = result.split(' ').next().unwrap().parse().unwrap();
    bytes.truncate(count);
    bytes
}

/// All texts among arguments.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    let quoted = arguments.split('"').skip(1).step_by(2);
    quoted.map(decode).collect()
}
