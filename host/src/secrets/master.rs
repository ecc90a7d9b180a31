//! The one secret that all keys are derived from: given by a setting, or kept
//! in a file of the data directory.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{Error, Secret};

/// How long the secret is, in bytes.
pub const BYTES: usize = 32;
/// The file in the data directory that holds it when no setting gives it.
const FILE: &str = "secret.key";
/// The most that is read of the file: base64 of 32 bytes, and space around.
const FILE_BYTES_MAX: u64 = 256;

/// Where the one secret came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A setting gave it.
    Setting,
    /// It was in the data directory.
    File,
    /// It was made just now, because there was none. Whoever finds sealed data
    /// all the same has lost the key to it.
    Made,
}

/// The secret that `setting` gives, else that of the file in the data
/// directory, which is made on first start.
pub fn load(
    setting: Option<&Secret>,
    data_dir: &Path,
) -> Result<(Zeroizing<[u8; BYTES]>, Origin), Error> {
    match setting {
        Some(text) => Ok((decode(text.expose())?, Origin::Setting)),
        None => load_file(&data_dir.join(FILE)),
    }
}

fn decode(text: &str) -> Result<Zeroizing<[u8; BYTES]>, Error> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| Error::Malformed)?);
    let master = bytes.as_slice().try_into().map_err(|_| Error::Malformed)?;
    Ok(Zeroizing::new(master))
}

fn load_file(path: &Path) -> Result<(Zeroizing<[u8; BYTES]>, Origin), Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    if let Some(text) = read_key(path).map_err(failed)? {
        return Ok((decode(&text)?, Origin::File));
    }
    let master = Zeroizing::new(rand::random::<[u8; BYTES]>());
    if make_key(path, &master).map_err(failed)? {
        return Ok((master, Origin::Made));
    }
    // Another process of the same data directory was quicker: its key it is.
    let text = read_key(path)
        .map_err(failed)?
        .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    Ok((decode(&text)?, Origin::File))
}

fn read_key(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Writes the key file whole or not at all; false when there was one already.
fn make_key(path: &Path, master: &[u8; BYTES]) -> io::Result<bool> {
    let part = path.with_extension(format!("key.{:016x}", rand::random::<u64>()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = Zeroizing::new(STANDARD.encode(master) + "\n");
    let linked = options
        .open(&part)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        // Unlike a rename, a link never replaces what another process made.
        .and_then(|()| match std::fs::hard_link(&part, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        });
    let _ = std::fs::remove_file(&part);
    let made = linked?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_alone() {
        let directory = std::env::temp_dir().join(format!("jimo-keys-{:x}", rand::random::<u64>()));
        std::fs::create_dir(&directory).expect("directory");
        let (first, made) = load(None, &directory).expect("made");
        let (second, read) = load(None, &directory).expect("read");
        assert_eq!((made, read), (Origin::Made, Origin::File));
        assert_eq!(first, second);
        let files: Vec<_> = std::fs::read_dir(&directory).expect("lists").collect();
        assert_eq!(files.len(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(directory.join(FILE)).expect("file");
            assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[test]
    fn a_setting_is_base64_of_32_bytes() {
        let text = |bytes: &[u8]| Secret::from(STANDARD.encode(bytes));
        let nowhere = Path::new("/nonexistent");
        let (given, origin) = load(Some(&text(&[7; 32])), nowhere).expect("32 bytes");
        assert_eq!(origin, Origin::Setting);
        assert_eq!(*given, [7; 32]);
        assert!(load(Some(&text(&[7; 31])), nowhere).is_err());
        assert!(load(Some(&text(&[7; 33])), nowhere).is_err());
        assert!(load(Some(&Secret::from("not base64!")), nowhere).is_err());
        assert!(load(None, nowhere).is_err());
    }
}
