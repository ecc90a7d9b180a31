//! Bodies as the file has them: in LZ4's block format
//! (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>) where that is shorter.
//! Events repeat each other's names, ids and moments, so of a large delivery a fraction is
//! left: less to sync before its answer, and less to keep. SQLite does not see whether a
//! disk gave back what it was given, so each has a checksum.

use bytes::Bytes;
use lz4_flex::block::{compress, decompress};
use tokio::task::spawn_blocking;

/// Bodies of so many bytes together are compressed at once, which takes no longer than
/// to have another thread do it; of more, by another thread.
const AT_ONCE_BYTES_MAX: usize = 256 * 1024;

/// What a byte of LZ4's block format stands for at most: one of a match's length.
const BYTES_OF_A_BYTE_MAX: usize = 255;

/// A body as it is stored.
pub(super) struct Stored {
    /// What is stored.
    pub(super) bytes: Bytes,
    /// How many bytes the body has, where it is compressed.
    pub(super) uncompressed_bytes: Option<u32>,
    /// The CRC-32 of what is stored.
    pub(super) checksum: u32,
}

impl Stored {
    /// How to store a body: compressed where that saves an eighth at least, for both are
    /// held until it is stored.
    fn of(body: &Bytes) -> Self {
        let compressed = compress(body);
        match u32::try_from(body.len()) {
            Ok(bytes) if compressed.len() <= body.len() / 8 * 7 => {
                Self::new(compressed.into(), Some(bytes))
            }
            _ => Self::new(body.clone(), None),
        }
    }

    fn new(bytes: Bytes, uncompressed_bytes: Option<u32>) -> Self {
        Self {
            checksum: crc32fast::hash(&bytes),
            bytes,
            uncompressed_bytes,
        }
    }

    /// How to store some bodies, in their order.
    pub(super) async fn all(bodies: Vec<Bytes>) -> Vec<Self> {
        let bytes: usize = bodies.iter().map(Bytes::len).sum();
        if bytes <= AT_ONCE_BYTES_MAX {
            return bodies.iter().map(Self::of).collect();
        }
        let compressing = {
            let bodies = bodies.clone();
            spawn_blocking(move || bodies.iter().map(Self::of).collect())
        };
        // It ends with the runtime alone, which nobody waits for then.
        let as_they_came = |_| {
            bodies
                .into_iter()
                .map(|body| Self::new(body, None))
                .collect()
        };
        compressing.await.unwrap_or_else(as_they_came)
    }
}

/// The body as it came; none where what is stored is not what was, or does not come to so
/// many bytes. What was stored by a release before has no checksum.
pub(super) fn restored(
    stored: &[u8],
    uncompressed_bytes: Option<i64>,
    checksum: Option<i64>,
) -> Option<Vec<u8>> {
    if checksum.is_some_and(|checksum| checksum != i64::from(crc32fast::hash(stored))) {
        return None;
    }
    let Some(bytes) = uncompressed_bytes else {
        return Some(stored.to_vec());
    };
    let bytes = usize::try_from(bytes).ok()?;
    if bytes / BYTES_OF_A_BYTE_MAX > stored.len() {
        return None;
    }
    let body = decompress(stored, bytes).ok()?;
    (body.len() == bytes).then_some(body)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn a_body_comes_back_as_it_came(
            event in vec(any::<u8>(), 0..80),
            times in 0..500_usize,
            rest in vec(any::<u8>(), 0..80),
        ) {
            let body = [event.repeat(times), rest].concat();
            let stored = Stored::of(&body.clone().into());
            prop_assert!(stored.bytes.len() <= body.len());
            let (bytes, checksum) = (stored.uncompressed_bytes, stored.checksum);
            let checksum = Some(i64::from(checksum));
            let restored = restored(&stored.bytes, bytes.map(i64::from), checksum);
            prop_assert_eq!(restored, Some(body));
        }

        #[test]
        fn a_bit_that_a_disk_turned_is_noticed(
            event in vec(any::<u8>(), 1..80),
            times in 1..100_usize,
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let stored = Stored::of(&event.repeat(times).into());
            let mut bytes = stored.bytes.to_vec();
            let length = bytes.len();
            bytes[at.index(length)] ^= 1 << bit;
            let uncompressed_bytes = stored.uncompressed_bytes.map(i64::from);
            let checksum = Some(i64::from(stored.checksum));
            prop_assert_eq!(restored(&bytes, uncompressed_bytes, checksum), None);
        }

        #[test]
        fn damaged_bytes_do_no_harm(
            event in vec(any::<u8>(), 20..80),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
            bytes in any::<i64>(),
            few in 0..3_000_i64,
        ) {
            let body = event.repeat(20);
            let mut stored = compress(&body);
            for (at, byte) in damage {
                let length = stored.len();
                stored[at.index(length)] = byte;
            }
            for bytes in [bytes, few, body.len() as i64] {
                let found = restored(&stored, Some(bytes), None);
                prop_assert!(found.is_none_or(|found| found.len() as i64 == bytes));
            }
        }

        #[test]
        fn any_bytes_do_no_harm(
            stored in vec(any::<u8>(), 0..200),
            bytes in prop_oneof![any::<i64>(), 0..3_000_i64],
        ) {
            let found = restored(&stored, Some(bytes), None);
            prop_assert!(found.is_none_or(|found| found.len() as i64 == bytes));
        }
    }
}
