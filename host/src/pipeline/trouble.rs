//! Lanes that hold others up unless they are worked on apart: those of which
//! something could not be applied, and those on which a plugin ran too long.
//!
//! Where a batch fails for something that it holds, each of its lanes gets batches of
//! its own, and the one that fails by itself gets smaller ones, down to the entry at
//! fault. That entry is tried again with growing pauses, and all else of its lane
//! waits behind it: nothing is skipped, and the lane's order stays.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use crate::{
    log::{Lane, Listed, Place, Position},
    model::Timestamp,
};

/// How long an entry waits that failed by itself, and twice as long each further
/// time.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest wait: whoever mended what it failed of sees it go on within that.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// For so many times as long as a plugin ran too long on a lane's entries, that lane
/// gives way to others: such lanes together keep a fifth of the time, as a shadow does.
const GIVES_WAY_TIMES: u32 = 4;

/// The longest that a lane gives way: it may have been another's fault, or be mended.
const GIVES_WAY_MAX: Duration = Duration::from_secs(60);

/// What makes trouble, lane by lane.
#[derive(Debug, Default)]
pub struct Trouble {
    parted: HashMap<Lane, Parted>,
    stuck: BTreeMap<Lane, Stuck>,
    giving_way: HashMap<Lane, Timestamp>,
    /// Whether the last batch was an entry that is tried again: the next is not.
    tried: bool,
}

/// A lane that shares no batch.
#[derive(Debug)]
struct Parted {
    /// Until this is done.
    until: Position,
    /// So many entries make a batch.
    entries_max: usize,
}

/// A lane whose first entry cannot be applied.
#[derive(Clone, Copy, Debug)]
pub struct Stuck {
    /// The entry.
    pub entry: Listed,
    /// How long it waits until it is tried again.
    pub pause: Duration,
    /// When that is.
    try_at: Timestamp,
    /// Whether it is being tried.
    is_tried: bool,
    /// Whether it failed of a damaged file.
    is_damage: bool,
}

impl Trouble {
    /// Everything up to a place is done, and nothing is under way.
    pub fn begin(&mut self, place: &Place) {
        self.parted.retain(|lane, parted| {
            !place.is_done(&Listed {
                position: parted.until,
                lane: *lane,
                bytes: 0,
            })
        });
        self.stuck.retain(|_, stuck| !place.is_done(&stuck.entry));
        for stuck in self.stuck.values_mut() {
            stuck.is_tried = false;
        }
    }

    /// Entries could not be applied together, in their order. Returns the entry at
    /// fault where it is known: then all else of its lane waits.
    pub fn failed(&mut self, entries: &[Listed], is_damage: bool, now: Timestamp) -> Option<Stuck> {
        if let [entry] = entries {
            let known = self.stuck.get(&entry.lane);
            let pause = known.map_or(PAUSE, |known| (known.pause * 2).min(PAUSE_MAX));
            let stuck = Stuck {
                entry: *entry,
                pause,
                try_at: now.plus(pause),
                is_tried: false,
                is_damage,
            };
            self.stuck.insert(entry.lane, stuck);
            return Some(stuck);
        }
        let mut lanes: BTreeMap<Lane, (usize, Position)> = BTreeMap::new();
        for entry in entries {
            let (count, last) = lanes.entry(entry.lane).or_default();
            *count += 1;
            *last = entry.position;
        }
        let is_alone = lanes.len() == 1;
        for (lane, (count, last)) in lanes {
            let until = self.parted.get(&lane).map_or(last, |parted| {
                // What failed before may reach further than its first half.
                parted.until.max(last)
            });
            let entries_max = if is_alone { count.div_ceil(2) } else { count };
            self.parted.insert(lane, Parted { until, entries_max });
        }
        None
    }

    /// Entries were applied together, in their order. Returns whether that freed a
    /// lane whose other entries are to be heard of again.
    pub fn applied(&mut self, entries: &[Listed]) -> bool {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return false;
        };
        if let Some(parted) = self.parted.get_mut(&first.lane) {
            // So the way to the entry at fault takes few batches, wherever it is; but
            // while a plugin runs too long on them, each stays short.
            if !self.giving_way.contains_key(&first.lane) {
                parted.entries_max = parted.entries_max.saturating_mul(2);
            }
            if last.position >= parted.until {
                self.parted.remove(&first.lane);
            }
        }
        self.stuck.remove(&first.lane).is_some()
    }

    /// An entry was taken, and not tried. Returns whether it is one that is tried
    /// again.
    pub fn put_back(&mut self, entry: &Listed) -> bool {
        let stuck = self.stuck.get_mut(&entry.lane);
        stuck.map(|stuck| stuck.is_tried = false).is_some()
    }

    /// The entry that is to be tried again now, by itself; never twice in a row.
    pub fn next_try(&mut self, now: Timestamp) -> Option<Listed> {
        let stuck = self.stuck.values_mut();
        let due = stuck.filter(|stuck| !stuck.is_tried && stuck.try_at <= now);
        // However many there are, each has its turn.
        let due = due.min_by_key(|stuck| stuck.try_at);
        let due = due.filter(|_| !self.tried);
        self.tried = due.is_some();
        let due = due?;
        due.is_tried = true;
        Some(due.entry)
    }

    /// How many entries of a lane make a batch of its own; none where it shares
    /// batches with others.
    pub fn alone(&self, lane: Lane) -> Option<usize> {
        self.parted.get(&lane).map(|parted| parted.entries_max)
    }

    /// Whether all of a lane waits behind an entry that cannot be applied.
    pub fn is_stuck(&self, lane: Lane) -> bool {
        self.stuck.contains_key(&lane)
    }

    /// How many lanes wait so.
    pub fn stuck(&self) -> usize {
        self.stuck.len()
    }

    /// Whether one waits for a file that is damaged.
    pub fn is_damage(&self) -> bool {
        self.stuck.values().any(|stuck| stuck.is_damage)
    }

    /// Not everything behind this is done, whatever else is: what waits behind an
    /// entry that is being tried is not known here.
    pub fn done_up_to(&self) -> Option<Position> {
        let done = self.stuck.values().map(|stuck| {
            let Position(position) = stuck.entry.position;
            Position(if stuck.is_tried {
                position
            } else {
                position - 1
            })
        });
        done.min()
    }

    /// A plugin ran too long on some lanes' entries: each gets batches of its own, an
    /// entry at first. `entries`: those that were taken with them.
    pub fn part(&mut self, entries: &[Listed], lanes: &BTreeSet<Lane>) {
        for entry in entries.iter().filter(|entry| lanes.contains(&entry.lane)) {
            let until = self.parted.get(&entry.lane).map(|parted| parted.until);
            let until = until.map_or(entry.position, |until| until.max(entry.position));
            let parted = Parted {
                until,
                entries_max: 1,
            };
            self.parted.insert(entry.lane, parted);
        }
    }

    /// A plugin ran too long on a lane's entries: it gives way to whoever waits for a
    /// time, after the others that do.
    pub fn give_way(&mut self, lane: Lane, spent: Duration, now: Timestamp) {
        let others = self.giving_way.iter().filter(|(other, _)| **other != lane);
        let after = others.map(|(_, until)| *until).fold(now, Timestamp::max);
        let until = after.plus(spent * GIVES_WAY_TIMES);
        let until = until.min(now.plus(GIVES_WAY_MAX));
        self.giving_way.insert(lane, until);
    }

    /// The lanes that give way at a moment.
    pub fn giving_way(&mut self, now: Timestamp) -> Vec<Lane> {
        self.giving_way.retain(|_, until| now < *until);
        self.giving_way.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::Step;
    use crate::pipeline::turns::{Turn, Turns};

    const NOW: Timestamp = Timestamp(1_780_000_000_000);

    fn entry(position: i64, lane: i64, bytes: u32) -> Listed {
        Listed {
            position: Position(position),
            lane: Lane(lane),
            bytes,
        }
    }

    fn positions(turn: Option<Turn>) -> Vec<i64> {
        let entries = turn.map(|turn| turn.entries).unwrap_or_default();
        entries.iter().map(|entry| entry.position.0).collect()
    }

    #[test]
    fn an_entry_is_tried_again_after_growing_pauses_of_a_minute_at_most() {
        let mut trouble = Trouble::default();
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let stuck = trouble.failed(&[entry(5, 7, 300)], false, now);
            let pause = stuck.expect("one alone is at fault").pause;
            assert!(trouble.next_try(now).is_none());
            now = now.plus(pause);
            assert!(trouble.next_try(now).is_some(), "after {pause:?}");
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn whoever_is_at_work_beside_one_that_is_stuck_is_alone() {
        let mut turns = Turns::new(Place::default());
        turns.hear(vec![entry(1, 7, 300)], NOW);
        let turn = turns.take(NOW).expect("a batch");
        assert!(turns.failed(turn, false, NOW).is_some());
        let flood = (2..=600).map(|position| entry(position, 8, 32 * 1024));
        let more = [entry(601, 7, 300)];
        turns.hear(flood.chain(more).collect(), NOW);
        // Past the time in which batches stay short.
        let later = NOW.plus(Duration::from_secs(60));
        let again = turns.take(later).expect("the entry, once more");
        assert_eq!(again.step.lanes, [(Lane(7), Position(1))]);
        assert!(turns.failed(again, false, later).is_some());
        let whole = turns.take(later).expect("a batch");
        assert_eq!(whole.entries.len(), 512);
        assert_eq!(whole.step.up_to, Position(0));
    }

    #[test]
    fn a_lane_gives_way_while_others_wait_and_only_for_a_time() {
        let mut turns = Turns::new(Place::default());
        let first = [entry(100, 7, 300)];
        let turn = Turn {
            entries: first.to_vec(),
            step: Step::default(),
        };
        let spent = BTreeMap::from([(Position(100), Duration::from_secs(10))]);
        turns.overran(&turn, &spent, NOW);
        let until = NOW.plus(Duration::from_secs(40));
        // Alone it need not.
        turns.hear(vec![entry(1, 7, 300)], NOW);
        assert_eq!(positions(turns.take(NOW)), [1]);
        let both = vec![entry(2, 7, 300), entry(3, 8, 300), entry(4, 8, 33_000)];
        turns.hear(both, NOW);
        assert_eq!(positions(turns.take(NOW)), [3, 4]);
        turns.hear(vec![entry(5, 8, 300)], NOW);
        assert_eq!(positions(turns.take(NOW)), [5]);
        turns.hear(vec![entry(6, 8, 300)], until);
        let next = [turns.take(until), turns.take(until)].map(positions);
        assert_eq!(next, [vec![6], vec![2]]);
        assert_eq!(turns.taken(), Position(6));
    }

    fn overran<const N: usize>(spent: [(i64, u64); N]) -> BTreeMap<Position, Duration> {
        let spent = spent.into_iter();
        spent
            .map(|(position, seconds)| (Position(position), Duration::from_secs(seconds)))
            .collect()
    }

    #[test]
    fn of_a_batch_that_is_given_up_those_at_fault_go_on_entry_by_entry_and_the_others_together() {
        let mut turns = Turns::new(Place::default());
        let lanes = [(1, 7), (2, 8), (3, 7), (4, 9), (5, 7)];
        let entries = lanes.map(|(position, lane)| entry(position, lane, 300));
        turns.hear(entries.to_vec(), NOW);
        let turn = turns.take(NOW).expect("all of them");
        assert_eq!(turn.entries.len(), 5);
        let spent = overran([(1, 8), (3, 2)]);
        turns.overran(&turn, &spent, NOW);
        turns.give_up(turn, &spent);
        assert_eq!(positions(turns.take(NOW)), [2, 4]);
        // Still spun on: no larger.
        for position in [1, 3] {
            let turn = turns.take(NOW).expect("one");
            assert!(!turns.applied(&turn));
            assert_eq!(positions(Some(turn)), [position]);
        }
        assert_eq!(positions(turns.take(NOW)), [5]);
        assert_eq!(turns.taken(), Position(5));
    }

    #[test]
    fn of_several_lanes_that_give_way_one_goes_on_after_the_other_and_none_waits_for_long() {
        let mut turns = Turns::new(Place::default());
        let entries = [(1, 7), (2, 8), (3, 9)].map(|(position, lane)| entry(position, lane, 300));
        turns.hear(entries.to_vec(), NOW);
        let turn = turns.take(NOW).expect("all of them");
        turns.overran(&turn, &overran([(1, 2), (2, 2), (3, 600)]), NOW);
        let mut at = |seconds| {
            turns
                .trouble
                .giving_way(NOW.plus(Duration::from_secs(seconds)))
        };
        assert_eq!(at(7).len(), 3);
        assert_eq!(at(15).len(), 2);
        assert_eq!(at(16), [Lane(9)]);
        assert!(at(60).is_empty());
    }

    proptest! {
        #[test]
        fn what_cannot_be_applied_holds_up_its_lane_alone_and_nothing_is_skipped(
            lanes in prop::collection::vec((0_i64..4, 1_u32..60_000), 1..120),
            bad in prop::collection::btree_set(1_i64..120, 1..4),
            heard in prop::collection::vec(1_usize..40, 1..20),
            between in prop::collection::vec(0..4, 1..20),
        ) {
            let log: Vec<_> = (1_i64..)
                .zip(&lanes)
                .map(|(position, (lane, bytes))| entry(position, *lane, *bytes))
                .collect();
            let waits = |listed: &&Listed| {
                let mut bad = log.iter().filter(|one| bad.contains(&one.position.0));
                bad.any(|one| one.lane == listed.lane && one.position <= listed.position)
            };
            let held_up = log.iter().filter(waits).count();
            let mut place = Place::default();
            let mut turns = Turns::new(place.clone());
            let mut done: Vec<Position> = Vec::new();
            for round in 0.. {
                prop_assert!(round < 20_000, "it never ends");
                let now = NOW.plus(Duration::from_secs(round));
                let round = usize::try_from(round).expect("a round");
                let after = usize::try_from(turns.heard().0).expect("a place");
                let next = (after + heard[round % heard.len()]).min(log.len());
                turns.hear(log[after..next].to_vec(), now);
                if done.len() == log.len() {
                    break;
                }
                let Some(turn) = turns.take(now) else {
                    continue;
                };
                // As while one is applied the next is prepared.
                let prepared = match between[round % between.len()] {
                    1 => turns.take(now),
                    _ => None,
                };
                // Mended, once all others are done.
                let is_mended = done.len() + held_up >= log.len();
                let is_bad = |entry: &Listed| !is_mended && bad.contains(&entry.position.0);
                if turn.entries.iter().any(is_bad) {
                    prepared.into_iter().for_each(|turn| turns.put_back(turn));
                    turns.failed(turn, false, now);
                    continue;
                }
                // As the store keeps it.
                place.up_to = place.up_to.max(turn.step.up_to);
                place.ahead.extend(turn.step.lanes.iter().copied());
                let up_to = place.up_to;
                place.ahead.retain(|_, position| *position > up_to);
                done.extend(turn.entries.iter().map(|entry| entry.position));
                for listed in &log {
                    prop_assert_eq!(place.is_done(listed), done.contains(&listed.position));
                }
                if turns.applied(&turn) || between[round % between.len()] == 2 {
                    turns.begin(place.clone());
                } else {
                    prepared.into_iter().for_each(|turn| turns.put_back(turn));
                }
            }
            for lane in 0..4 {
                let of_lane = |position: &&Position| {
                    log[usize::try_from(position.0 - 1).expect("a place")].lane == Lane(lane)
                };
                prop_assert!(done.iter().filter(of_lane).is_sorted());
            }
        }
    }
}
