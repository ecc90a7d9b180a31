//! Ranges of ids, so that several pages of one list can be read at once: HubSpot
//! gives the next page's place with each page alone, and that place is an id.

use crate::model::{Range, RecordId};

/// Pages that are read at once: enough to use what an account allows (11 calls a
/// second) at HubSpot's usual 200 ms and some more.
pub const PAGES_AT_ONCE: usize = 4;

/// A range is split only where it has more pages left than this, as far as its
/// last page tells.
const SPLIT_PAGES_MIN: u64 = 4;

/// The ranges of a list whose highest id is known; one for all where it is not a
/// number.
pub fn begin(highest: Option<&RecordId>) -> Vec<Range> {
    let number = |record: &RecordId| record.as_str().parse::<u64>().ok();
    let Some(highest) = highest.and_then(number).filter(|highest| *highest > 0) else {
        return vec![Range::default()];
    };
    let parts = PAGES_AT_ONCE as u64;
    let ends = (0..=parts).map(|part| u128::from(highest) * u128::from(part) / u128::from(parts));
    let ends: Vec<u64> = ends.filter_map(|end| u64::try_from(end).ok()).collect();
    let mut ranges: Vec<Range> = ends
        .windows(2)
        .filter(|ends| ends[0] < ends[1])
        .map(|ends| Range {
            after: (ends[0] > 0).then(|| ends[0].to_string()),
            above: ends[0],
            until: Some(ends[1]),
        })
        .collect();
    // What came since, and what the search did not know of.
    ranges.push(Range {
        after: Some(highest.to_string()),
        above: highest,
        until: None,
    });
    ranges
}

/// Whether a record belongs to a range.
pub fn holds(range: &Range, record: &RecordId) -> bool {
    match record.as_str().parse::<u64>() {
        Ok(id) => id > range.above && range.until.is_none_or(|until| id <= until),
        Err(_) => true,
    }
}

/// What is left of a range after a page, in one or two parts.
pub fn rest(range: &Range, page: &[RecordId], after: Option<String>, is_alone: bool) -> Vec<Range> {
    let Some(after) = after else {
        return Vec::new();
    };
    let left = Range {
        after: Some(after),
        ..range.clone()
    };
    let (Some(from), Some(until)) = (number(left.after.as_deref()), range.until) else {
        return vec![left];
    };
    // Whether a page begins with this id or after it, HubSpot does not say.
    if from > until {
        return Vec::new();
    }
    let first = page
        .first()
        .and_then(|record| number(Some(record.as_str())));
    let span = first.map_or(0, |first| from.saturating_sub(first)).max(1);
    let middle = from + (until - from) / 2;
    if !is_alone || (until - from) / span < SPLIT_PAGES_MIN || middle <= from {
        return vec![left];
    }
    vec![
        Range {
            until: Some(middle),
            ..left
        },
        Range {
            after: Some(middle.to_string()),
            above: middle,
            until: Some(until),
        },
    ]
}

fn number(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lists pages as HubSpot does, from the ranges alone.
    fn list(ids: &[u64], page: usize, names_next: bool) -> (Vec<u64>, usize) {
        let highest = ids.iter().max().map(|id| RecordId::from(id.to_string()));
        let mut ranges = begin(highest.as_ref());
        let (mut seen, mut calls) = (Vec::new(), 0);
        while let Some(range) = (!ranges.is_empty()).then(|| ranges.remove(0)) {
            calls += 1;
            let from = number(range.after.as_deref()).unwrap_or(0);
            let begins = |id: &&u64| **id > from || (names_next && **id == from);
            let mut left = ids.iter().filter(begins);
            let found: Vec<RecordId> = left
                .by_ref()
                .take(page)
                .map(|id| RecordId::from(id.to_string()))
                .collect();
            let next = left.next();
            let last = number(found.last().map(RecordId::as_str));
            let after = next.and_then(|next| if names_next { Some(*next) } else { last });
            let after = after.map(|id| id.to_string());
            let within = found.iter().filter(|record| holds(&range, record));
            seen.extend(within.filter_map(|record| number(Some(record.as_str()))));
            let is_alone = ranges.len() + 1 < PAGES_AT_ONCE;
            ranges.extend(rest(&range, &found, after, is_alone));
        }
        seen.sort_unstable();
        (seen, calls)
    }

    proptest! {
        #[test]
        fn every_record_is_listed_once_however_its_ids_lie(
            ids in prop::collection::btree_set(1_u64..50_000, 0..400),
            page in 1_usize..20,
            names_next in any::<bool>(),
        ) {
            let ids: Vec<u64> = ids.into_iter().collect();
            let (seen, calls) = list(&ids, page, names_next);
            prop_assert_eq!(seen, ids.clone());
            // Hardly more than one after the other would take.
            prop_assert!(calls <= 2 * ids.len().div_ceil(page) + 3 * PAGES_AT_ONCE, "{}", calls);
        }
    }

    #[test]
    fn ids_that_are_no_numbers_are_listed_one_page_after_the_other() {
        let highest = RecordId::from("cars-7");
        assert_eq!(begin(Some(&highest)), [Range::default()]);
        let next = rest(&Range::default(), &["a".into()], Some("b".into()), true);
        assert_eq!(next.len(), 1);
    }
}
