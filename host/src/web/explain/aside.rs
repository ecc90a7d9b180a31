//! What could not be understood lately of an account, by the records it tells of.

use std::collections::HashMap;

use crate::{
    model::{AccountKey, RecordId, Timestamp},
    plugin::{BodyDescription, Description, split},
    store::{self, Tx},
};

/// Parts of deliveries that are looked through, the newest.
const PARTS_MAX: usize = 200;

/// Bytes of them that are looked through.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Something that could not be understood.
#[derive(Clone, Debug)]
pub(super) struct Misunderstood {
    /// When it was set aside.
    pub at: Timestamp,
    /// The number of the newest read that had begun by then.
    pub sequence: i64,
    /// Why.
    pub reason: String,
}

/// What could not be understood last of each record. Which type a record is of the
/// host cannot know: a plugin says where ids stand, and types are its own to read.
#[derive(Debug, Default)]
pub(super) struct Asides(HashMap<RecordId, Misunderstood>);

impl Asides {
    /// Looks through what was set aside of an account.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn load(
        tx: &Tx<'_>,
        account: (&str, &AccountKey),
        description: &Description,
    ) -> Result<Self, store::Error> {
        let mut asides = HashMap::new();
        for aside in tx.set_aside_of(account, PARTS_MAX, BYTES_MAX)? {
            // What is of an account was taken apart before: its elements stand alone.
            let at = description.body(aside.kind).map(BodyDescription::of_array);
            let elements = at.as_ref().map(|at| split(&aside.body, at));
            for element in elements.and_then(Result::ok).into_iter().flatten() {
                for record in element.records {
                    // The newest come first.
                    asides.entry(record).or_insert_with(|| Misunderstood {
                        at: aside.at,
                        sequence: aside.sequence,
                        reason: aside.reason.clone(),
                    });
                }
            }
        }
        Ok(Self(asides))
    }

    /// What could not be understood last of a record.
    pub fn of(&self, record: &RecordId) -> Option<&Misunderstood> {
        self.0.get(record)
    }
}
