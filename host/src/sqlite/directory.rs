//! Making the directory that files are kept in, so that it outlives a power cut.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::Error;

/// Makes a directory and those above it where they are not there: what is kept
/// in it is its owner's alone. Returns after their names are synced to disk:
/// what is synced in a directory that is not itself there is lost with it.
pub fn make(directory: &Path) -> Result<(), Error> {
    let missing_above: Vec<&Path> = directory
        .ancestors()
        .skip(1)
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
        .collect();
    // Where it is there already, whoever made it may have been killed before its name
    // was synced.
    let mut named = missing_above.into_iter().rev().chain([directory]);
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| named.try_for_each(sync_name));
    made.map_err(|source| Error::Path {
        path: directory.to_path_buf(),
        source,
    })
}

fn sync_name(named: &Path) -> io::Result<()> {
    let parent = match named.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match File::open(parent) {
        // Who may not read it did not make what is in it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => match opened?.sync_all() {
            // A file system that is only read, with ours mounted in it, has nothing to sync.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        },
    }
}
