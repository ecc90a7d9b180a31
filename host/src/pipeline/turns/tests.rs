use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_780_000_000_000);

fn entry(position: i64, lane: i64, bytes: u32) -> Listed {
    Listed {
        position: Position(position),
        lane: Lane(lane),
        bytes,
    }
}

fn positions(turn: &Turn) -> Vec<i64> {
    turn.entries.iter().map(|entry| entry.position.0).collect()
}

#[test]
fn one_account_alone_gets_whole_batches() {
    let mut turns = Turns::new(Place::default());
    let flood = (1..=600).map(|position| entry(position, 7, 32 * 1024));
    turns.hear(flood.collect(), NOW);
    let turn = turns.take(NOW).expect("a batch");
    assert_eq!(turn.entries.len(), 512);
    assert_eq!(turn.step.up_to, Position(512));
    assert_eq!(turn.step.lanes, [(Lane(7), Position(512))]);
}

#[test]
fn whoever_comes_behind_a_flood_is_served_with_the_next_batch() {
    let mut turns = Turns::new(Place::default());
    let flood = (1..=600).map(|position| entry(position, 7, 32 * 1024));
    turns.hear(flood.collect(), NOW);
    turns.hear(vec![entry(601, 8, 300)], NOW);
    // Both are new here.
    let turn = turns.take(NOW).expect("a batch");
    assert_eq!(positions(&turn), [1, 601]);
    assert_eq!(turn.step.up_to, Position(1));
    let lanes = [(Lane(7), Position(1)), (Lane(8), Position(601))];
    assert_eq!(turn.step.lanes, lanes);
    // Another time the flood is passed over, but not twice.
    turns.hear(vec![entry(602, 8, 300)], NOW);
    assert_eq!(positions(&turns.take(NOW).expect("a batch")), [602]);
    turns.hear(vec![entry(603, 8, 300)], NOW);
    assert_eq!(positions(&turns.take(NOW).expect("a batch")), [2, 603]);
    // It is not cut short for longer than it must.
    let later = NOW.plus(SHARED_FOR);
    assert_eq!(turns.take(later).expect("a batch").entries.len(), 512);
}

#[test]
fn a_flood_is_cut_short_while_another_account_is_at_work_now_and_then() {
    let mut turns = Turns::new(Place::default());
    turns.hear(vec![entry(1, 8, 300)], NOW);
    assert_eq!(positions(&turns.take(NOW).expect("a batch")), [1]);
    let soon = NOW.plus(Duration::from_secs(1));
    let flood = (2..=500).map(|position| entry(position, 7, 32 * 1024));
    turns.hear(flood.collect(), soon);
    assert_eq!(positions(&turns.take(soon).expect("a batch")), [2]);
}

#[test]
fn a_flood_that_waits_is_cut_short_for_as_long_as_another_account_is_at_work() {
    let mut turns = Turns::new(Place::default());
    let flood = (1..=9_000).map(|position| entry(position, 7, 32 * 1024));
    turns.hear(flood.collect(), NOW);
    // Nothing of the flood comes any more, and something of the other.
    for round in 1..100 {
        let now = NOW.plus(Duration::from_secs(round));
        let other = 9_000 + i64::try_from(round).expect("a place");
        turns.hear(vec![entry(other, 8, 300)], now);
        let next = [(); 3].map(|()| turns.take(now).expect("a batch").entries.len());
        // At first both are new.
        assert_eq!(next, if round == 1 { [2, 1, 1] } else { [1; 3] });
    }
}

#[test]
fn whoever_comes_while_a_flood_is_applied_is_taken_beside_it_as_far_as_a_turn_goes() {
    let mut turns = Turns::new(Place::default());
    let flood = (1..=600).map(|position| entry(position, 7, 32 * 1024));
    turns.hear(flood.collect(), NOW);
    let whole = turns.take(NOW).expect("a batch");
    let mut busy: HashSet<_> = whole.lanes().collect();
    let mut beside = |turns: &mut Turns, bytes_max| {
        let turn = turns.take_beside(&busy, bytes_max, NOW);
        busy.extend(turn.iter().flat_map(Turn::lanes));
        turn
    };
    // More of the flood.
    turns.hear((601..=603).map(|at| entry(at, 7, 300)).collect(), NOW);
    assert_eq!(beside(&mut turns, TURN_BYTES_MAX), None);
    let others = [(604, 8, 300), (605, 8, 300), (606, 9, 300)];
    turns.hear(
        others
            .map(|(at, lane, bytes)| entry(at, lane, bytes))
            .to_vec(),
        NOW,
    );
    let second = beside(&mut turns, 600).expect("the first of the others");
    assert_eq!(positions(&second), [604, 605]);
    // Whatever becomes of the flood's, it is not passed.
    assert_eq!(second.step.up_to, Position(0));
    assert_eq!(second.step.lanes, [(Lane(8), Position(605))]);
    // Its own next one does not follow beside it.
    turns.hear(vec![entry(607, 8, 300)], NOW);
    let third = beside(&mut turns, TURN_BYTES_MAX).expect("the other");
    assert_eq!(positions(&third), [606]);
    assert_eq!(beside(&mut turns, TURN_BYTES_MAX), None);
    assert_eq!(positions(&turns.take(NOW).expect("a batch")), [607]);
    assert_eq!(turns.taken(), Position(512));
}

#[test]
fn what_was_applied_beside_others_leaves_the_place_behind_until_it_is_moved() {
    let mut turns = Turns::new(Place::default());
    turns.hear(vec![entry(1, 7, 300)], NOW);
    let first = turns.take(NOW).expect("a batch");
    turns.hear(vec![entry(2, 8, 300)], NOW);
    let busy = first.lanes().collect();
    let beside = turns.take_beside(&busy, TURN_BYTES_MAX, NOW);
    let beside = beside.expect("the other");
    assert!(!turns.applied(&first) && !turns.applied(&beside));
    let step = turns.left_behind().expect("the second is not passed");
    assert_eq!((step.up_to, &step.lanes[..]), (Position(2), &[][..]));
    turns.placed(&step);
    assert_eq!(turns.left_behind(), None);
    // So is one that did so before a restart.
    let ahead = BTreeMap::from([(Lane(8), Position(2))]);
    let mut turns = Turns::new(Place {
        up_to: Position(1),
        ahead,
    });
    turns.hear(vec![entry(2, 8, 300)], NOW);
    assert_eq!(turns.take(NOW), None);
    assert_eq!(
        turns.left_behind().map(|step| step.up_to),
        Some(Position(2))
    );
}

#[test]
fn what_is_applied_beside_others_passes_none_of_them() {
    let mut turns = Turns::new(Place::default());
    turns.hear(vec![entry(3, 7, 300)], NOW);
    let stuck = turns.take(NOW).expect("a batch");
    turns.failed(stuck, false, NOW).expect("it is at fault");
    // The host begins again, and what came before that waits, too.
    turns.begin(Place::default());
    turns.hear(
        vec![entry(1, 9, 300), entry(2, 8, 300), entry(3, 7, 300)],
        NOW,
    );
    let later = NOW.plus(Duration::from_secs(3_600));
    let again = turns.take(later).expect("the one at fault");
    assert_eq!(positions(&again), [3]);
    let mut busy: HashSet<_> = again.lanes().collect();
    let first = turns.take_beside(&busy, TURN_BYTES_MAX, later);
    let first = first.expect("those before it");
    assert_eq!(positions(&first), [1, 2]);
    busy.extend(first.lanes());
    turns.hear(vec![entry(4, 5, 300)], later);
    let second = turns.take_beside(&busy, TURN_BYTES_MAX, later);
    let second = second.expect("who came then");
    // The first may be undone.
    assert_eq!(
        (positions(&second), second.step.up_to),
        (vec![4], Position(0))
    );
}

#[test]
fn what_is_put_back_into_a_full_list_leaves_no_room_for_more() {
    let mut turns = Turns::new(Place::default());
    let full = i64::try_from(KNOWN_MAX).expect("a place");
    turns.hear((1..=full).map(|at| entry(at, 7, 300)).collect(), NOW);
    let turn = turns.take(NOW).expect("a batch");
    let taken = i64::try_from(turn.entries.len()).expect("a place");
    let more = (full + 1)..=(full + taken);
    turns.hear(more.map(|at| entry(at, 7, 300)).collect(), NOW);
    assert_eq!(turns.room(), 0);
    turns.put_back(turn);
    assert_eq!(turns.room(), 0);
    assert_eq!(turns.taken(), Position(0));
}

#[test]
fn what_got_ahead_before_a_restart_is_not_done_again() {
    let place = Place {
        up_to: Position(2),
        ahead: BTreeMap::from([(Lane(8), Position(5))]),
    };
    assert_eq!(place.last(), Position(5));
    let mut turns = Turns::new(place);
    let rest = [(3, 7), (4, 8), (5, 8), (6, 8)];
    turns.hear(rest.map(|(p, lane)| entry(p, lane, 300)).to_vec(), NOW);
    assert_eq!(positions(&turns.take(NOW).expect("a batch")), [3, 6]);
    assert_eq!(turns.take(NOW), None);
    assert_eq!(turns.taken(), Position(6));
}

proptest! {
    #[test]
    fn everything_is_taken_once_in_its_lanes_order_whatever_happens_between(
        lanes in prop::collection::vec((0_i64..4, 1_u32..200_000), 1..200),
        heard in prop::collection::vec(1_usize..40, 1..20),
        between in prop::collection::vec(0_usize..5, 1..20),
    ) {
        let log: Vec<_> = (1_i64..)
            .zip(&lanes)
            .map(|(position, (lane, bytes))| entry(position, *lane, *bytes))
            .collect();
        let mut place = Place::default();
        let mut turns = Turns::new(place.clone());
        let mut done: Vec<Position> = Vec::new();
        for round in 0.. {
            let what = between[round % between.len()];
            let is_outdated = what % 2 == 1 && round % 7 != 0;
            let hear = |turns: &mut Turns| {
                let after = usize::try_from(turns.heard().0).expect("a place");
                let next = (after + heard[round % heard.len()]).min(log.len());
                turns.hear(log[after..next].to_vec(), NOW);
                next == log.len()
            };
            let all = hear(&mut turns);
            let Some(turn) = turns.take(NOW) else {
                if all {
                    break;
                }
                continue;
            };
            let mut busy: HashSet<_> = turn.lanes().collect();
            let mut under_way = vec![turn];
            while under_way.len() < what {
                hear(&mut turns);
                let beside = turns.take_beside(&busy, TURN_BYTES_MAX, NOW);
                let Some(beside) = beside else {
                    break;
                };
                busy.extend(beside.lanes());
                under_way.push(beside);
            }
            if is_outdated {
                if what == under_way.len() {
                    // So is the one that was prepared meanwhile.
                    let next = turns.take(NOW);
                    next.into_iter().for_each(|next| turns.put_back(next));
                }
                let which = round % under_way.len();
                turns.put_back(under_way.remove(which));
            }
            for turn in under_way {
                // As the store keeps it.
                let Step { up_to, lanes } = turn.step;
                place.up_to = place.up_to.max(up_to);
                place.ahead.extend(lanes);
                let up_to = place.up_to;
                place.ahead.retain(|_, position| *position > up_to);
                done.extend(turn.entries.iter().map(|entry| entry.position));
                for listed in &log {
                    prop_assert_eq!(place.is_done(listed), done.contains(&listed.position));
                }
            }
            if what == 0 {
                turns = Turns::new(place.clone());
            }
        }
        prop_assert_eq!(done.len(), log.len());
        prop_assert_eq!(turns.taken(), Position(i64::try_from(log.len()).expect("a place")));
        for lane in 0..4 {
            let of_lane = |position: &&Position| {
                log[usize::try_from(position.0 - 1).expect("a place")].lane == Lane(lane)
            };
            prop_assert!(done.iter().filter(of_lane).is_sorted());
        }
    }
}
