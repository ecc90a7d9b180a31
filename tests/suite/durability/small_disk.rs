//! A small file system of a test's own: a tmpfs in a mount namespace, which
//! goes with the process that holds it.
//!
//! Needs root, or a kernel that lets anyone make user namespaces; nothing is
//! mounted that others see.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

const PAGE: [u8; 4_096] = [1; 4_096];

/// A small file system.
pub struct SmallDisk {
    holder: Child,
    mount: TempDir,
}

impl SmallDisk {
    /// One of so many MiB.
    pub fn new(mebibytes: u32) -> Self {
        let mount = TempDir::new().unwrap();
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let script =
            format!("mount -t tmpfs -o size={mebibytes}m tmpfs \"$0\" && echo mounted && exec cat");
        let mut holder = command
            .args(["sh", "-c", &script])
            .arg(mount.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "mounted\n", "it takes root, or user namespaces");
        Self { holder, mount }
    }

    /// The data directory, as those see it who run there.
    pub fn data(&self) -> PathBuf {
        self.mount.path().join("data")
    }

    /// A path of the disk, as it is seen from here.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    /// What runs a command there and is replaced by it.
    pub fn command(&self) -> Vec<String> {
        let mut command = vec!["nsenter".to_owned(), "--mount".to_owned()];
        if !is_root() {
            command.extend(["--user", "--preserve-credentials"].map(str::to_owned));
        }
        command.push(format!("--target={}", self.holder.id()));
        command
    }

    /// Copies files to a directory there.
    pub fn put(&self, from: &Path) {
        let to = self.seen(&self.data());
        std::fs::create_dir_all(&to).unwrap();
        copy(from, &to);
    }

    /// Copies the data directory elsewhere.
    pub fn take(&self) -> TempDir {
        let to = TempDir::new().unwrap();
        copy(&self.seen(&self.data()), to.path());
        to
    }

    /// Fills it, and leaves so many bytes.
    pub fn fill(&self, left: u64) {
        let mut ballast = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.ballast())
            .unwrap();
        while ballast.write_all(&PAGE).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length - left).unwrap();
    }

    /// Makes room again.
    pub fn free(&self) {
        File::create(self.ballast()).unwrap();
    }

    /// Makes it read-only while nothing on it is open for writing.
    pub fn read_only(&self) {
        let command = self.command();
        let remounted = Command::new(&command[0])
            .args(&command[1..])
            .args(["mount", "-o", "remount,ro"])
            .arg(self.mount.path())
            .status();
        assert!(remounted.unwrap().success());
    }

    fn ballast(&self) -> PathBuf {
        self.seen(&self.mount.path().join("ballast"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.holder.kill();
        self.holder.wait().unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}
