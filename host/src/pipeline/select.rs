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
/// feeds. Where open records are preferred, the closed ones stand back as long as
/// there is an open one.
pub fn select(candidates: &[Candidate], selection: Option<&Selection>) -> Option<RecordKey> {
    let prefers_open = selection.is_some_and(|selection| selection.prefer_open)
        && candidates.iter().any(|candidate| !candidate.closed);
    let candidates = candidates
        .iter()
        .filter(|candidate| !(prefers_open && candidate.closed));
    let chosen = match selection.map(|selection| selection.rule) {
        None => candidates.min_by_key(|candidate| (candidate.rank, order(&candidate.record))),
        Some(SelectionRule::Primary) => candidates
            .min_by_key(|candidate| (Reverse(candidate.primary), order(&candidate.record))),
        Some(SelectionRule::LatestModified) => {
            candidates.max_by_key(|candidate| (candidate.modified_at, order(&candidate.record)))
        }
        Some(SelectionRule::LatestCreated) => {
            candidates.max_by_key(|candidate| (candidate.created_at, order(&candidate.record)))
        }
        Some(SelectionRule::Largest) => candidates.max_by(|one, other| {
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
    use proptest::prelude::*;

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
            closed: false,
        }
    }

    fn by(rule: SelectionRule, prefer_open: bool) -> Selection {
        Selection {
            rule,
            property: None,
            prefer_open,
        }
    }

    fn check(candidates: &[Candidate], rule: Option<SelectionRule>, expected: i64) {
        let selection = rule.map(|rule| by(rule, false));
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

    const RULES: [SelectionRule; 4] = [
        SelectionRule::Primary,
        SelectionRule::LatestModified,
        SelectionRule::LatestCreated,
        SelectionRule::Largest,
    ];

    /// Candidates of different ids, alike in little else.
    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let moment = || prop::option::of((0..3_i64).prop_map(Timestamp));
        let ranking = prop::option::of((-2..2_i32).prop_map(f64::from));
        let one = (any::<[bool; 2]>(), moment(), moment(), ranking, 0..2_i64);
        prop::collection::vec(one, 1..6).prop_map(|all| {
            let ids = [9, 10, 2, 100, 21];
            let made = ids.into_iter().zip(all);
            made.map(
                |(id, ([primary, closed], created_at, modified_at, ranking, rank))| Candidate {
                    rank,
                    primary,
                    created_at,
                    modified_at,
                    ranking,
                    closed,
                    ..candidate(id)
                },
            )
            .collect()
        })
    }

    proptest! {
        /// Whatever the rule, it decides among the open ones as it would if
        /// there were no others, and among the closed ones if all are.
        #[test]
        fn open_records_come_before_closed_ones_and_the_rule_decides_among_them(
            candidates in candidates(),
            rule in prop::sample::select(&RULES[..]),
        ) {
            let chosen = select(&candidates, Some(&by(rule, true)));
            let open: Vec<_> = candidates.iter().filter(|one| !one.closed).cloned().collect();
            let among = if open.is_empty() { &candidates } else { &open };
            prop_assert_eq!(chosen, select(among, Some(&by(rule, false))));
            prop_assert!(chosen.is_some());
        }

        /// Where nobody asks, nothing depends on it.
        #[test]
        fn who_is_closed_does_not_matter_where_open_ones_are_not_preferred(
            candidates in candidates(),
            rule in prop::sample::select(&RULES[..]),
        ) {
            let mut turned = candidates.clone();
            turned.iter_mut().for_each(|one| one.closed = !one.closed);
            let selection = by(rule, false);
            prop_assert_eq!(
                select(&candidates, Some(&selection)),
                select(&turned, Some(&selection))
            );
            prop_assert_eq!(select(&candidates, None), select(&turned, None));
        }

        /// One that feeds goes on feeding when others close, and hands over when
        /// it closes itself and another is open.
        #[test]
        fn closing_hands_over_to_an_open_one(
            candidates in candidates(),
            rule in prop::sample::select(&RULES[..]),
        ) {
            let selection = by(rule, true);
            let chosen = select(&candidates, Some(&selection)).expect("somebody");
            let mut after = candidates.clone();
            after.iter_mut().filter(|one| one.key == chosen).for_each(|one| one.closed = true);
            let next = select(&after, Some(&selection)).expect("somebody");
            let is_open = |key| after.iter().any(|one| one.key == key && !one.closed);
            prop_assert_eq!(after.iter().any(|one| !one.closed), is_open(next));
        }

        /// The order in which candidates are found changes nothing.
        #[test]
        fn the_choice_does_not_depend_on_the_order(
            (candidates, shuffled) in candidates()
                .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
            rule in prop::sample::select(&RULES[..]),
            prefer_open: bool,
        ) {
            let selection = by(rule, prefer_open);
            prop_assert_eq!(
                select(&candidates, Some(&selection)),
                select(&shuffled, Some(&selection))
            );
        }
    }
}
