//! The budget against a counter that counts as HubSpot does.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn after(milliseconds: u64) -> Timestamp {
    NOW.plus(Duration::from_millis(milliseconds))
}

fn told(max: u32, left: u32) -> Rates {
    Rates {
        window: Some((max, left, TEN_SECONDS)),
        day: None,
    }
}

/// Makes as many calls as may be made at once.
fn burst(ledger: &mut Ledger, pool: Pool, now: Timestamp) -> u32 {
    let mut calls = 0;
    while ledger.check(pool, Priority::FullSync, now) == Verdict::Go {
        ledger.start(pool);
        calls += 1;
    }
    calls
}

#[test]
fn the_share_of_the_lowest_limit_is_used_until_an_answer_tells_more() {
    let mut ledger = Ledger::new(SHARE);
    assert_eq!(burst(&mut ledger, Pool::General, NOW), 95);
    assert_eq!(burst(&mut ledger, Pool::Search, NOW), 4);
    assert_eq!(burst(&mut ledger, Pool::Associations, NOW), 95);
    let check = ledger.check(Pool::General, Priority::Live, NOW);
    assert_eq!(check, Verdict::Wait(None));
    ledger.finish(Pool::General, Some(&told(190, 95)), NOW);
    assert_eq!(burst(&mut ledger, Pool::General, NOW), 180 - 95);
}

#[test]
fn a_place_is_free_again_one_interval_after_the_call_ended() {
    let mut ledger = Ledger::new(SHARE);
    let calls = burst(&mut ledger, Pool::Search, NOW);
    for _ in 0..calls {
        ledger.finish(Pool::Search, None, after(400));
    }
    let check = |ledger: &mut Ledger, at| ledger.check(Pool::Search, Priority::Live, after(at));
    assert_eq!(check(&mut ledger, 1_400), Verdict::Wait(Some(after(1_401))));
    assert_eq!(check(&mut ledger, 1_401), Verdict::Go);
}

#[test]
fn what_other_apps_use_is_left_to_them() {
    let mut ledger = Ledger::new(SHARE);
    ledger.start(Pool::General);
    ledger.finish(Pool::General, Some(&told(100, 29)), NOW);
    // 71 are counted, one of them ours; 95 are allowed.
    assert_eq!(burst(&mut ledger, Pool::General, after(1)), 95 - 71);
    assert_eq!(
        ledger.check(Pool::General, Priority::Live, after(1)),
        Verdict::Wait(Some(after(10_001)))
    );
    assert_eq!(burst(&mut ledger, Pool::General, after(10_001)), 71);
}

#[test]
fn a_429_pauses_its_pool_alone_longer_each_time_until_one_is_answered() {
    let mut ledger = Ledger::new(SHARE);
    let refuse =
        |ledger: &mut Ledger, now| ledger.refused(Pool::General, Policy::Other, None, 0.0, now);
    let first = refuse(&mut ledger, NOW);
    assert_eq!(first, after(10_000));
    // Those under way at the same time are no second strike.
    assert_eq!(refuse(&mut ledger, after(5)), after(10_005));
    let check = ledger.check(Pool::General, Priority::Live, after(10_004));
    assert_eq!(check, Verdict::Wait(Some(after(10_005))));
    assert_eq!(ledger.check(Pool::Search, Priority::Live, NOW), Verdict::Go);
    assert_eq!(refuse(&mut ledger, after(10_005)), after(30_005));
    ledger.accepted(Pool::General, after(40_000));
    assert_eq!(refuse(&mut ledger, after(40_000)), after(50_000));
}

#[test]
fn a_429_is_waited_out_as_told_and_with_jitter() {
    let mut ledger = Ledger::new(SHARE);
    let told = Some(Duration::from_secs(3));
    let until = ledger.refused(Pool::Search, Policy::Secondly, told, 1.0, NOW);
    assert_eq!(until, after(3_300));
    let mut ledger = Ledger::new(SHARE);
    let until = ledger.refused(Pool::Search, Policy::Secondly, None, 0.5, NOW);
    assert_eq!(until, after(1_050));
}

#[test]
fn a_spent_day_lasts_until_midnight_in_the_accounts_zone() {
    let mut ledger = Ledger::new(SHARE);
    ledger.set_zone(TimeZone::get("America/New_York").expect("zone"));
    // 2026-09-21T14:13:20Z is 10:13:20 there.
    let midnight = "2026-09-22T04:00:00Z".parse::<jiff::Timestamp>();
    let midnight = Timestamp(midnight.expect("moment").as_millisecond());
    let until = ledger.refused(Pool::General, Policy::Daily, None, 0.5, NOW);
    assert_eq!(until, midnight);
    let mut check = |now| ledger.check(Pool::General, Priority::Live, now);
    assert_eq!(check(after(60_000)), Verdict::DaySpent(midnight));
    assert_eq!(check(midnight), Verdict::Go);
}

#[test]
fn searches_count_in_the_day_and_associations_have_their_own() {
    let mut ledger = Ledger::new(SHARE);
    ledger.refused(Pool::General, Policy::Daily, None, 0.5, NOW);
    let mut check = |pool| ledger.check(pool, Priority::Live, NOW);
    assert!(matches!(check(Pool::Search), Verdict::DaySpent(_)));
    assert_eq!(check(Pool::Associations), Verdict::Go);
}

#[test]
fn full_syncs_leave_more_of_the_day_than_live_reads() {
    let mut ledger = Ledger::new(SHARE);
    let rates = |left| Rates {
        window: None,
        day: Some((1_000, left)),
    };
    let mut at = |left, priority| {
        ledger.start(Pool::General);
        ledger.finish(Pool::General, Some(&rates(left)), NOW);
        ledger.check(Pool::General, priority, NOW) == Verdict::Go
    };
    assert!(at(146, Priority::FullSync));
    assert!(!at(145, Priority::FullSync));
    assert!(at(99, Priority::CatchUp));
    assert!(!at(98, Priority::CatchUp));
    assert!(at(51, Priority::Live));
    assert!(!at(50, Priority::Live));
}

#[test]
fn the_least_share_is_ours_however_busy_others_are() {
    let mut ledger = Ledger::new(0.05);
    ledger.start(Pool::General);
    ledger.finish(Pool::General, Some(&told(100, 20)), NOW);
    // 80 are counted, one of them ours; 5 are ours, and 95 all together.
    assert_eq!(burst(&mut ledger, Pool::General, after(1)), 4);
    let (usage, _) = ledger.usage(after(1));
    assert_eq!((usage.used, usage.allowed), (5, 5));
    // But no more than all may have.
    let mut ledger = Ledger::new(0.05);
    ledger.start(Pool::General);
    ledger.finish(Pool::General, Some(&told(100, 7)), NOW);
    assert_eq!(burst(&mut ledger, Pool::General, after(1)), 95 - 93);
    // A limit of a few calls leaves one.
    assert_eq!(burst(&mut ledger, Pool::Search, NOW), 1);
}

#[test]
fn the_whole_share_is_the_whole_limit() {
    let mut ledger = Ledger::new(1.0);
    assert_eq!(burst(&mut ledger, Pool::General, NOW), 100);
    assert_eq!(burst(&mut ledger, Pool::Search, NOW), 5);
    let mut ledger = Ledger::new(1.0);
    let mut at = |left, priority| {
        let day = Some((1_000, left));
        let rates = Rates { window: None, day };
        ledger.start(Pool::General);
        ledger.finish(Pool::General, Some(&rates), NOW);
        ledger.check(Pool::General, priority, NOW) == Verdict::Go
    };
    // Those who come first are left something all the same.
    assert!(!at(100, Priority::FullSync));
    assert!(!at(50, Priority::CatchUp));
    assert!(at(1, Priority::Live));
    assert!(!at(0, Priority::Live));
}

#[test]
fn a_small_share_of_the_day_is_all_priorities_to_use_and_counts_our_own_calls() {
    let mut ledger = Ledger::new(0.05);
    let call = |ledger: &mut Ledger, left, priority| {
        let verdict = ledger.check(Pool::General, priority, NOW);
        if verdict == Verdict::Go {
            let day = Some((1_000, left));
            ledger.start(Pool::General);
            ledger.finish(Pool::General, Some(&Rates { window: None, day }), NOW);
        }
        verdict == Verdict::Go
    };
    // Others have used half of it.
    let mut left = 500;
    let mut made = [0, 0, 0];
    for (index, priority) in [Priority::FullSync, Priority::CatchUp, Priority::Live]
        .into_iter()
        .enumerate()
    {
        // One interval would not let so many.
        while call(&mut ledger, left, priority) {
            left -= 1;
            made[index] += 1;
            ledger.general.recent.clear();
        }
    }
    assert_eq!(made, [45, 2, 3]);
    let (_, day) = ledger.usage(NOW);
    assert_eq!(day.map(|day| day.left()), Some(0.0));
    // The next day they are counted anew.
    let day = Some((1_000, 999));
    ledger.start(Pool::General);
    ledger.finish(Pool::General, Some(&Rates { window: None, day }), NOW);
    assert_eq!(
        ledger.check(Pool::General, Priority::FullSync, NOW),
        Verdict::Go
    );
}

#[test]
fn a_clock_that_is_set_back_holds_no_call_for_long() {
    let mut ledger = Ledger::new(SHARE);
    for _ in 0..burst(&mut ledger, Pool::General, after(7_200_000)) {
        ledger.finish(Pool::General, None, after(7_200_000));
    }
    let check = ledger.check(Pool::General, Priority::Live, NOW);
    assert_eq!(check, Verdict::Wait(Some(after(10_001))));
}

/// One call of the simulated network.
#[derive(Clone, Debug)]
struct Trip {
    /// How long after the one before it is wished for.
    gap: u64,
    /// How long it takes to reach the counter, and to come back.
    there: u64,
    back: u64,
}

fn trips() -> impl Strategy<Value = Vec<Trip>> {
    let trip = (0..200_u64, 0..3_000_u64, 0..3_000_u64);
    let trip = trip.prop_map(|(gap, there, back)| Trip { gap, there, back });
    prop::collection::vec(trip, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whenever calls are wished for and however long they take, HubSpot's
    /// counter never counts more of them in any interval than the share.
    #[test]
    fn no_interval_ever_counts_more_than_the_share(trips in trips(), max in 4..30_u32, share in 0.3..1.0_f64) {
        let mut ledger = Ledger::new(share);
        let rates = told(max, max);
        ledger.start(Pool::General);
        ledger.finish(Pool::General, Some(&rates), NOW.minus(TEN_SECONDS * 2));
        let allowed = ((f64::from(max) * share) as usize).max(1);
        let mut wished = NOW;
        let mut now = NOW;
        let mut under_way: Vec<Timestamp> = Vec::new();
        let mut counted: Vec<Timestamp> = Vec::new();
        for trip in trips {
            wished = wished.plus(Duration::from_millis(trip.gap));
            now = now.max(wished);
            loop {
                under_way.sort();
                while under_way.first().is_some_and(|end| *end <= now) {
                    ledger.finish(Pool::General, Some(&rates), under_way.remove(0));
                }
                match ledger.check(Pool::General, Priority::Live, now) {
                    Verdict::Go => break,
                    Verdict::Wait(until) => {
                        let end = under_way.first().copied();
                        let next = [until, end].into_iter().flatten().min();
                        // A wait always ends.
                        let next = next.expect("something to wait for");
                        prop_assert!(next > now);
                        now = next;
                    }
                    Verdict::DaySpent(_) => prop_assert!(false, "no day is told"),
                }
            }
            ledger.start(Pool::General);
            let reached = now.plus(Duration::from_millis(trip.there));
            counted.push(reached);
            under_way.push(reached.plus(Duration::from_millis(trip.back)));
        }
        counted.sort();
        for (index, start) in counted.iter().enumerate() {
            let end = start.plus(TEN_SECONDS);
            let calls = counted[index..].iter().take_while(|at| **at <= end).count();
            prop_assert!(calls <= allowed, "{calls} calls where {allowed} are allowed");
        }
    }
}

/// Makes searches at once, of which the last ones are refused.
fn searches(ledger: &mut Ledger, accepted: u32, refused: u32, now: Timestamp) {
    (0..accepted + refused).for_each(|_| ledger.start(Pool::Search));
    for _ in 0..accepted {
        ledger.finish(Pool::Search, None, now);
        ledger.accepted(Pool::Search, now);
    }
    for _ in 0..refused {
        ledger.finish(Pool::Search, None, now);
        ledger.refused(Pool::Search, Policy::Secondly, None, 0.0, now);
    }
}

#[test]
fn what_others_search_is_known_by_a_refusal_and_forgotten_one_by_one() {
    let mut ledger = Ledger::new(SHARE);
    // One of two is refused: others make four a second.
    searches(&mut ledger, 1, 1, NOW);
    let mut allowed = |milliseconds| {
        let now = after(milliseconds);
        let calls = burst(&mut ledger, Pool::Search, now);
        let next = ledger.check(Pool::Search, Priority::Live, now);
        assert_ne!(next, Verdict::Go);
        (0..calls).for_each(|_| ledger.finish(Pool::Search, None, now));
        calls
    };
    assert_eq!(allowed(1_001), 1);
    assert_eq!(allowed(30_000), 1);
    assert_eq!([30_001 + 1_001, 60_000].map(&mut allowed), [2, 2]);
    assert_eq!([61_002, 90_000].map(&mut allowed), [3, 3]);
    assert_eq!([91_003, 10_000_000].map(&mut allowed), [4, 4]);
}

#[test]
fn searches_of_ours_that_were_refused_are_none_that_others_left_to_us() {
    let mut ledger = Ledger::new(SHARE);
    // Others make four a second, and so one of our four is let through.
    searches(&mut ledger, 1, 3, NOW);
    assert_eq!(burst(&mut ledger, Pool::Search, after(1_001)), 1);
    // Where they make two, two are ours within our share.
    let mut ledger = Ledger::new(SHARE);
    searches(&mut ledger, 3, 1, NOW);
    assert_eq!(burst(&mut ledger, Pool::Search, after(1_001)), 2);
}

#[test]
fn while_others_search_on_few_of_ours_are_refused() {
    let mut ledger = Ledger::new(SHARE);
    let (mut made, mut refused) = (0, 0);
    // Five minutes, in which others make four searches each second before us.
    for second in 0..300 {
        let now = after(second * 1_001);
        let calls = burst(&mut ledger, Pool::Search, now);
        for call in 0..calls {
            ledger.finish(Pool::Search, None, now);
            match call {
                0 => ledger.accepted(Pool::Search, now),
                _ => drop(ledger.refused(Pool::Search, Policy::Secondly, None, 0.0, now)),
            }
        }
        made += calls;
        refused += calls.saturating_sub(1);
    }
    assert!(made >= 280, "{made}");
    assert!(refused * 20 <= made, "{refused} of {made}");
}
