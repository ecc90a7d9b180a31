//! What a disk holds once power was cut.
//!
//! What was synced is there. Of what was not, each of these may be: nothing; or
//! some writes and not others, whole or in sectors, in any order, which is what
//! a disk's cache and a file system's own order leave. A name, too, is there
//! only once its directory was synced: POSIX promises no more, though common
//! file systems do. Names of one directory come in the order they were made, as
//! a journal keeps them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{random::Random, trace::Event};

/// What a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// Files by name.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => {
                let end = offset + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(written);
            }
            Self::Resize(length) => bytes.resize(*length, 0),
        }
    }

    /// The same, torn: of each sector it is drawn whether it was written.
    fn apply_some(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let Self::Write(offset, written) = self else {
            return self.apply(bytes);
        };
        let (mut at, end) = (*offset, offset + written.len());
        while at < end {
            let next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
            let part = at - offset..next.min(end) - offset;
            if random.below(2) == 0 {
                Self::Write(at, written[part].to_vec()).apply(bytes);
            }
            at = next;
        }
    }
}

/// Changes in their order, of which the first so many were synced.
#[derive(Clone, Debug)]
struct Pending<C> {
    synced: usize,
    changes: Vec<C>,
}

impl<C> Default for Pending<C> {
    fn default() -> Self {
        Self {
            synced: 0,
            changes: Vec::new(),
        }
    }
}

impl<C> Pending<C> {
    /// How many there were in all.
    fn count(&self) -> usize {
        self.synced + self.changes.len()
    }

    /// Takes out those that are synced now: the first so many of all.
    fn sync(&mut self, count: usize) -> Vec<C> {
        // Another thread's sync may have been quicker.
        let more = count.saturating_sub(self.synced);
        self.synced += more;
        self.changes.drain(..more).collect()
    }
}

#[derive(Clone, Debug, Default)]
struct File {
    synced: Vec<u8>,
    pending: Pending<Change>,
}

impl File {
    fn length(&self) -> usize {
        let resized = self.pending.changes.iter();
        resized.fold(self.synced.len(), |length, change| match change {
            Change::Write(offset, written) => length.max(offset + written.len()),
            Change::Resize(length) => *length,
        })
    }
}

#[derive(Clone, Debug)]
enum NameChange {
    Directory(PathBuf),
    File(PathBuf, usize),
    Removed(PathBuf),
}

#[derive(Clone, Debug, Default)]
struct Names {
    directories: Vec<PathBuf>,
    files: BTreeMap<PathBuf, usize>,
}

impl Names {
    fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Directory(path) => self.directories.push(path.clone()),
            NameChange::File(path, file) => {
                self.files.insert(path.clone(), *file);
            }
            NameChange::Removed(path) => {
                self.files.remove(path);
            }
        }
    }
}

/// A disk below one directory, which outlives everything.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
    files: Vec<File>,
    /// As the process sees them.
    names: Names,
    synced: Names,
    /// By directory, in their order.
    pending: BTreeMap<PathBuf, Pending<NameChange>>,
    /// How many changes there were when a thread's sync began.
    syncing: BTreeMap<(u32, PathBuf), usize>,
}

impl Disk {
    /// A disk with these files and directories, all synced.
    pub fn new(root: &Path, directories: &[PathBuf], files: Files) -> Self {
        let mut names = Names {
            directories: directories.to_vec(),
            ..Names::default()
        };
        let mut kept = Vec::new();
        for (path, synced) in files {
            names.files.insert(path, kept.len());
            kept.push(File {
                synced,
                pending: Pending::default(),
            });
        }
        Self {
            root: root.to_path_buf(),
            files: kept,
            synced: names.clone(),
            names,
            pending: BTreeMap::new(),
            syncing: BTreeMap::new(),
        }
    }

    /// Takes over what happened. What is shared memory and not a file, or lies
    /// elsewhere, is left out.
    pub fn happened(&mut self, event: &Event) {
        match event {
            Event::Directory(path) if self.is_mine(path) => {
                self.rename(path, NameChange::Directory(path.clone()));
            }
            Event::Opened(path) if self.is_mine(path) && !self.names.files.contains_key(path) => {
                self.files.push(File::default());
                self.rename(path, NameChange::File(path.clone(), self.files.len() - 1));
            }
            Event::Linked(from, to) if self.is_mine(to) => {
                let file = self.names.files[from];
                self.rename(to, NameChange::File(to.clone(), file));
            }
            Event::Removed(path) if self.is_mine(path) => {
                self.rename(path, NameChange::Removed(path.clone()));
            }
            Event::Written {
                path,
                offset,
                bytes,
            } if self.is_mine(path) => {
                let file = self.file(path);
                let offset = offset.map_or_else(|| file.length(), |offset| offset as usize);
                file.pending
                    .changes
                    .push(Change::Write(offset, bytes.clone()));
            }
            Event::Resized(path, length) if self.is_mine(path) => {
                let file = self.file(path);
                file.pending.changes.push(Change::Resize(*length as usize));
            }
            Event::SyncBegun { thread, path } => {
                let count = match self.names.files.get(path) {
                    Some(file) => self.files[*file].pending.count(),
                    None => self.pending.get(path).map_or(0, Pending::count),
                };
                self.syncing.insert((*thread, path.clone()), count);
            }
            Event::Synced { thread, path } => self.sync(*thread, path),
            _ => {}
        }
    }

    fn is_mine(&self, path: &Path) -> bool {
        // SQLite's index of its write-ahead log is made anew.
        path.starts_with(&self.root) && !path.to_string_lossy().ends_with("-shm")
    }

    fn file(&mut self, path: &Path) -> &mut File {
        let file = self.names.files.get(path);
        &mut self.files[*file.unwrap_or_else(|| panic!("{} is unknown", path.display()))]
    }

    fn rename(&mut self, path: &Path, change: NameChange) {
        self.names.apply(&change);
        let directory = path.parent().unwrap().to_path_buf();
        let pending = self.pending.entry(directory).or_default();
        pending.changes.push(change);
    }

    fn sync(&mut self, thread: u32, path: &Path) {
        let Some(count) = self.syncing.remove(&(thread, path.to_path_buf())) else {
            return;
        };
        if let Some(file) = self.names.files.get(path) {
            let file = &mut self.files[*file];
            for change in file.pending.sync(count) {
                change.apply(&mut file.synced);
            }
        } else if let Some(pending) = self.pending.get_mut(path) {
            for change in pending.sync(count) {
                self.synced.apply(&change);
            }
        }
    }

    /// What is left when power is cut now, and nothing was written that was not
    /// synced.
    pub fn cut(&self) -> Files {
        self.left(&self.synced, |file| file.synced.clone())
    }

    /// What is left when power is cut now, and some was written by chance.
    pub fn cut_by_chance(&self, random: &mut Random) -> Files {
        let mut names = self.synced.clone();
        for changes in self.pending.values() {
            let changes = &changes.changes;
            let count = random.below(changes.len() as u64 + 1) as usize;
            changes[..count]
                .iter()
                .for_each(|change| names.apply(change));
        }
        self.left(&names, |file| {
            let mut bytes = file.synced.clone();
            for change in &file.pending.changes {
                match random.below(3) {
                    0 => {}
                    1 => change.apply(&mut bytes),
                    _ => change.apply_some(&mut bytes, random),
                }
            }
            bytes
        })
    }

    fn left(&self, names: &Names, mut content: impl FnMut(&File) -> Vec<u8>) -> Files {
        let is_there = |path: &&PathBuf| {
            let above = path.ancestors().skip(1);
            above
                .take_while(|directory| *directory != self.root)
                .all(|directory| names.directories.iter().any(|made| made == directory))
        };
        let files = names.files.iter().filter(|(path, _)| is_there(path));
        files
            .map(|(path, file)| (path.clone(), content(&self.files[*file])))
            .collect()
    }
}
