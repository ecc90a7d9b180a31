//! Which of several records feeds a user.

use std::cmp::{Ordering, Reverse};

use crate::{
    model::{RecordId, Selection, SelectionRule},
    store::{reach::Candidate, records::RecordKey},
};

/// The record that feeds a user; none where there is no candidate.
///
/// Without a selection, matches decide: the lowest rank (a contact's own e-mail
/// address before its additional ones), then the lowest id. With one, the rule
/// decides; a candidate without a ranking value comes last, and ties go to the
/// highest id, but among candidates none of which is primary the lowest id
/// feeds.
pub fn select(candidates: &[Candidate], selection: Option<&Selection>) -> Option<RecordKey> {
    let chosen = match selection.map(|selection| selection.rule) {
        None => candidates
            .iter()
            .min_by_key(|candidate| (candidate.rank, order(&candidate.record))),
        Some(SelectionRule::Primary) => candidates
            .iter()
            .min_by_key(|candidate| (Reverse(candidate.primary), order(&candidate.record))),
        Some(SelectionRule::LatestModified) => candidates
            .iter()
            .max_by_key(|candidate| (candidate.modified_at, order(&candidate.record))),
        Some(SelectionRule::LatestCreated) => candidates
            .iter()
            .max_by_key(|candidate| (candidate.created_at, order(&candidate.record))),
        Some(SelectionRule::Largest) => candidates.iter().max_by(|one, other| {
            largest(one.ranking, other.ranking)
                .then_with(|| order(&one.record).cmp(&order(&other.record)))
        }),
    };
    chosen.map(|candidate| candidate.key)
}

/// Ids in the order of numbers, where they are numbers: a longer one is larger.
fn order(record: &RecordId) -> (usize, &str) {
    (record.as_str().len(), record.as_str())
}

fn largest(one: Option<f64>, other: Option<f64>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn candidate(id: i64) -> Candidate {
        Candidate {
            key: RecordKey(id),
            record: id.to_string().into(),
            rank: 0,
            primary: false,
            created_at: None,
            modified_at: None,
            ranking: None,
        }
    }

    fn check(candidates: &[Candidate], rule: Option<SelectionRule>, expected: i64) {
        let selection = rule.map(|rule| Selection {
            rule,
            property: None,
            prefer_open: false,
        });
        let mut candidates = candidates.to_vec();
        for _ in 0..candidates.len() {
            candidates.rotate_left(1);
            assert_eq!(
                select(&candidates, selection.as_ref()),
                Some(RecordKey(expected))
            );
        }
    }

    #[test]
    fn nobody_is_fed_by_nothing() {
        assert_eq!(select(&[], None), None);
    }

    #[test]
    fn an_own_address_comes_before_an_additional_one_then_the_lowest_id() {
        let additional = Candidate {
            rank: 1,
            ..candidate(3)
        };
        check(&[additional, candidate(90), candidate(100)], None, 90);
    }

    #[test]
    fn the_primary_feeds_and_without_one_the_lowest_id() {
        let primary = Candidate {
            primary: true,
            ..candidate(7)
        };
        check(
            &[candidate(5), primary, candidate(9)],
            Some(SelectionRule::Primary),
            7,
        );
        check(
            &[candidate(10), candidate(9)],
            Some(SelectionRule::Primary),
            9,
        );
    }

    #[test]
    fn the_latest_feeds_and_ties_go_to_the_highest_id() {
        let at = |id, moment| Candidate {
            modified_at: Some(Timestamp(moment)),
            created_at: Some(Timestamp(-moment)),
            ..candidate(id)
        };
        let candidates = [at(9, 5), at(10, 5), at(11, 4), candidate(12)];
        check(&candidates, Some(SelectionRule::LatestModified), 10);
        check(&candidates, Some(SelectionRule::LatestCreated), 11);
    }

    #[test]
    fn the_largest_feeds_and_an_empty_amount_comes_last() {
        let with = |id, ranking| Candidate {
            ranking: Some(ranking),
            ..candidate(id)
        };
        check(
            &[with(1, -5.0), candidate(2), with(3, -7.0)],
            Some(SelectionRule::Largest),
            1,
        );
        check(
            &[candidate(2), candidate(4)],
            Some(SelectionRule::Largest),
            4,
        );
    }
}
