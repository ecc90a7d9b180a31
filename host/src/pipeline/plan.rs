//! What a change of a record asks for: a read, a write, or nothing, and why.

use crate::{
    model::{ChangeKind, Existence, Merge, RecordId, Timestamp, Version},
    store::records::RecordState,
};

/// Why a change does nothing. The words are counted and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// The record matches no user.
    NoMatch,
    /// It reaches users through others alone, and none that matches a user is known
    /// to have it yet: then it is read.
    NotReached,
    /// What it says was known already, or is older than what is known.
    Older,
    /// The record is deleted.
    Deleted,
    /// The field was mapped after it happened.
    BeforeMapping,
}

impl Skip {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMatch => "no_match",
            Self::NotReached => "not_reached",
            Self::Older => "older",
            Self::Deleted => "deleted",
            Self::BeforeMapping => "before_mapping",
        }
    }
}

/// What a change asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Skip(Skip),
    /// Read the record.
    Read,
    /// Read the record that this one became part of.
    ReadInstead(RecordId),
    /// Say the property's text to its registers.
    Write,
    /// Keep that the record is gone or became another.
    Mark(Existence),
    /// Keep that records became one, and read that one.
    Merge(Merge),
    /// Read the associations of a record that is linked.
    ReadAssociations,
    /// Find out who has a record that came back: while it was deleted nobody was
    /// told to have it.
    FindAgain,
}

/// What a change asks for, given what is held of its record. `matching` says
/// whether match keys depend on the property that changed; `through`, whether
/// records of its type reach users through another type alone: one that nobody
/// is reached by costs no call then.
pub fn plan(
    held: Option<&RecordState>,
    kind: &ChangeKind,
    occurred_at: Timestamp,
    matching: bool,
    through: bool,
) -> Step {
    if through && held.is_none() {
        return match kind {
            ChangeKind::Restored => Step::FindAgain,
            // Those that became one may be held.
            ChangeKind::Merged(merge) => Step::Merge(merge.clone()),
            ChangeKind::Deleted => Step::Skip(Skip::Deleted),
            _ => Step::Skip(Skip::NotReached),
        };
    }
    match (held.map(|held| &held.existence), kind) {
        (_, ChangeKind::Merged(merge)) => return Step::Merge(merge.clone()),
        (Some(Existence::Merged(Some(survivor))), _) => {
            return Step::ReadInstead(survivor.clone());
        }
        _ => {}
    }
    let Some(held) = held else {
        return match kind {
            ChangeKind::Deleted => Step::Mark(Existence::Deleted),
            _ => Step::Read,
        };
    };
    if held.existence == Existence::Deleted && occurred_at <= held.existence_at {
        return Step::Skip(Skip::Deleted);
    }
    if through && *kind == ChangeKind::Restored {
        return Step::FindAgain;
    }
    if through && !held.reached && !matches!(kind, ChangeKind::Deleted) {
        return Step::Skip(Skip::NotReached);
    }
    let never_read = held.read == Version::default();
    let known = Version {
        stamp: occurred_at,
        sequence: 0,
    } <= held.read;
    match kind {
        // The answer that showed it may not have known of the deletion.
        ChangeKind::Deleted if occurred_at < held.existence_at => match held.existence {
            Existence::Exists if through && !held.reached => Step::Skip(Skip::NotReached),
            Existence::Exists => Step::Read,
            _ => Step::Skip(Skip::Older),
        },
        ChangeKind::Deleted => Step::Mark(Existence::Deleted),
        ChangeKind::AssociationChanged(_) => {
            if held.reached {
                Step::ReadAssociations
            } else {
                Step::Skip(Skip::NoMatch)
            }
        }
        _ if never_read || held.existence == Existence::Deleted => Step::Read,
        // It may be the newest that can be read, where the read's text cannot.
        ChangeKind::PropertyChanged(_) if known && held.reached => Step::Write,
        _ if known => Step::Skip(Skip::Older),
        ChangeKind::Created | ChangeKind::Restored => Step::Read,
        // Whom it matches now is not known before a read.
        ChangeKind::PropertyChanged(_) if matching => Step::Read,
        ChangeKind::PropertyChanged(_) if held.reached => Step::Write,
        ChangeKind::PropertyChanged(_) => Step::Skip(Skip::NoMatch),
        // Told above, whatever is held.
        ChangeKind::Erased | ChangeKind::Merged(_) => Step::Skip(Skip::Older),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{AssociationChange, PropertyText},
        store::records::RecordKey,
    };

    fn held(reached: bool) -> RecordState {
        RecordState {
            key: RecordKey(1),
            existence: Existence::Exists,
            existence_at: Timestamp(10),
            created_at: None,
            modified_at: None,
            read: Version {
                stamp: Timestamp(10),
                sequence: 1,
            },
            reached,
            filled: reached,
        }
    }

    fn property() -> ChangeKind {
        ChangeKind::PropertyChanged(PropertyText {
            property: 0,
            text: "x".into(),
        })
    }

    fn check(held: Option<&RecordState>, kind: &ChangeKind, at: i64, matching: bool, step: Step) {
        assert_eq!(plan(held, kind, Timestamp(at), matching, false), step);
    }

    #[test]
    fn a_linked_records_change_costs_no_call() {
        check(Some(&held(true)), &property(), 20, false, Step::Write);
    }

    #[test]
    fn a_known_strangers_change_costs_nothing() {
        check(
            Some(&held(false)),
            &property(),
            20,
            false,
            Step::Skip(Skip::NoMatch),
        );
        let association = ChangeKind::AssociationChanged(AssociationChange {
            to_type: "companies".into(),
            to_record: "5".into(),
            removed: false,
        });
        check(
            Some(&held(false)),
            &association,
            20,
            false,
            Step::Skip(Skip::NoMatch),
        );
        check(
            Some(&held(true)),
            &association,
            20,
            false,
            Step::ReadAssociations,
        );
    }

    #[test]
    fn unknown_records_and_changed_match_keys_are_read() {
        check(None, &property(), 20, false, Step::Read);
        check(None, &ChangeKind::Created, 20, false, Step::Read);
        check(Some(&held(false)), &property(), 20, true, Step::Read);
        check(Some(&held(true)), &property(), 20, true, Step::Read);
    }

    #[test]
    fn a_company_that_no_linked_contact_has_costs_no_call() {
        let skip = Step::Skip(Skip::NotReached);
        assert_eq!(
            plan(None, &ChangeKind::Created, Timestamp(20), false, true),
            skip
        );
        assert_eq!(
            plan(None, &ChangeKind::Deleted, Timestamp(20), false, true),
            Step::Skip(Skip::Deleted)
        );
        let unreached = held(false);
        assert_eq!(
            plan(Some(&unreached), &property(), Timestamp(20), false, true),
            skip
        );
    }

    #[test]
    fn what_a_read_knew_already_does_nothing() {
        check(
            Some(&held(false)),
            &property(),
            10,
            true,
            Step::Skip(Skip::Older),
        );
        // But for the newest text that can be read.
        check(Some(&held(true)), &property(), 10, true, Step::Write);
        check(
            Some(&held(true)),
            &ChangeKind::Created,
            9,
            false,
            Step::Skip(Skip::Older),
        );
    }

    #[test]
    fn a_deleted_record_comes_back_only_by_what_happened_later() {
        let deleted = RecordState {
            existence: Existence::Deleted,
            existence_at: Timestamp(15),
            ..held(true)
        };
        check(
            Some(&deleted),
            &property(),
            12,
            false,
            Step::Skip(Skip::Deleted),
        );
        check(
            Some(&deleted),
            &ChangeKind::Created,
            15,
            false,
            Step::Skip(Skip::Deleted),
        );
        check(Some(&deleted), &ChangeKind::Restored, 20, false, Step::Read);
        check(Some(&deleted), &property(), 20, false, Step::Read);
    }

    #[test]
    fn an_old_id_leads_to_the_new_one_and_an_erased_one_nowhere() {
        let merged = RecordState {
            existence: Existence::Merged(Some("9".into())),
            ..held(true)
        };
        check(
            Some(&merged),
            &property(),
            20,
            false,
            Step::ReadInstead("9".into()),
        );
        check(
            Some(&merged),
            &ChangeKind::Deleted,
            20,
            false,
            Step::ReadInstead("9".into()),
        );
    }

    #[test]
    fn a_deletion_of_a_record_never_seen_is_kept() {
        check(
            None,
            &ChangeKind::Deleted,
            20,
            false,
            Step::Mark(Existence::Deleted),
        );
        let deleted = RecordState {
            existence: Existence::Deleted,
            ..held(true)
        };
        check(
            Some(&deleted),
            &ChangeKind::Deleted,
            9,
            false,
            Step::Skip(Skip::Deleted),
        );
    }

    #[test]
    fn a_deletion_that_a_read_may_not_have_known_of_is_looked_into() {
        check(
            Some(&held(true)),
            &ChangeKind::Deleted,
            9,
            false,
            Step::Read,
        );
        // But for one that nobody is reached by.
        assert_eq!(
            plan(
                Some(&held(false)),
                &ChangeKind::Deleted,
                Timestamp(9),
                false,
                true
            ),
            Step::Skip(Skip::NotReached)
        );
    }
}
