//! Bodies as the file has them: in LZ4's block format
//! (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>) where that is shorter.
//! Events repeat each other's names, ids and moments, so of a large delivery a fraction is
//! left: less to sync before its answer, and less to keep.

use bytes::Bytes;
use lz4_flex::block::{compress, decompress};

/// A body as it is stored.
pub(super) struct Stored {
    /// What is stored.
    pub(super) bytes: Bytes,
    /// How many bytes the body has, where it is compressed.
    pub(super) uncompressed_bytes: Option<u32>,
}

impl Stored {
    /// How to store a body.
    pub(super) fn of(body: &Bytes) -> Self {
        let compressed = compress(body);
        match u32::try_from(body.len()) {
            Ok(bytes) if compressed.len() < body.len() => Self {
                bytes: compressed.into(),
                uncompressed_bytes: Some(bytes),
            },
            _ => Self {
                bytes: body.clone(),
                uncompressed_bytes: None,
            },
        }
    }
}

/// The body as it came; none where these are not the bytes that were stored.
pub(super) fn restored(stored: &[u8], uncompressed_bytes: Option<u32>) -> Option<Vec<u8>> {
    let Some(bytes) = uncompressed_bytes else {
        return Some(stored.to_vec());
    };
    let body = decompress(stored, bytes as usize).ok()?;
    (body.len() == bytes as usize).then_some(body)
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
            let restored = restored(&stored.bytes, stored.uncompressed_bytes);
            prop_assert_eq!(restored, Some(body));
        }

        #[test]
        fn damaged_bytes_do_no_harm(
            event in vec(any::<u8>(), 20..80),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
            bytes in 0..3_000_u32,
        ) {
            let body = event.repeat(20);
            let mut stored = compress(&body);
            for (at, byte) in damage {
                let length = stored.len();
                stored[at.index(length)] = byte;
            }
            for bytes in [bytes, body.len() as u32] {
                let found = restored(&stored, Some(bytes));
                prop_assert!(found.is_none_or(|found| found.len() == bytes as usize));
            }
        }

        #[test]
        fn any_bytes_do_no_harm(stored in vec(any::<u8>(), 0..200), bytes in 0..3_000_u32) {
            let found = restored(&stored, Some(bytes));
            prop_assert!(found.is_none_or(|found| found.len() == bytes as usize));
        }
    }
}
