//! Random steps.

use hubspot_sim::{ObjectType, Route, Trouble};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::history::{FIELDS, History, Step, Weather, too_long};

/// How much there may be at once.
#[derive(Clone, Copy)]
pub struct Cast {
    /// Records of each type, by slots.
    pub records: usize,
    /// Users, by slots.
    pub users: usize,
    /// Addresses that users and contacts share.
    pub addresses: usize,
}

/// Few, so that they meet often.
const FEW: Cast = Cast {
    records: 3,
    users: 3,
    addresses: 3,
};

/// Random histories. Most begin with people who are customers already, so that
/// whatever happens next concerns somebody.
pub fn histories() -> impl Strategy<Value = History> {
    let customers = customers(FEW);
    let begin = subsequence(customers.clone(), 0..=customers.len()).prop_shuffle();
    (weather(), begin, vec(step(FEW), 0..60)).prop_map(|(weather, begin, steps)| History {
        weather,
        steps: begin.into_iter().chain(steps).collect(),
    })
}

/// What makes people customers: users, and records that reach them.
pub fn customers(cast: Cast) -> Vec<Step> {
    let mut steps = Vec::new();
    for user in 0..cast.users {
        steps.push(Step::PutUser {
            user,
            // The last comes later.
            address: user % (cast.addresses - 1),
        });
    }
    for contact in 0..cast.records {
        let (own, additional) = (Some(contact), vec![0]);
        steps.push(Step::Readdress {
            contact,
            own,
            additional,
        });
        for other in [contact, (contact + 1) % cast.records] {
            for object_type in [ObjectType::Companies, ObjectType::Deals] {
                let (to, primary) = ((object_type, other), false);
                steps.push(Step::Associate {
                    contact,
                    to,
                    primary,
                });
            }
        }
    }
    for (field, (object_type, .., is_number)) in FIELDS.into_iter().enumerate() {
        for slot in 0..cast.records {
            let text = if is_number {
                format!("{slot}.5")
            } else {
                format!("value {slot}")
            };
            steps.push(Step::Set {
                record: (object_type, slot),
                field,
                text,
                at_once: false,
            });
        }
    }
    steps
}

fn weather() -> impl Strategy<Value = Weather> {
    (
        any::<u64>(),
        any::<bool>(),
        any::<bool>(),
        select(&[0.0, 0.0, 0.3, 1.0][..]),
        select(&[0.0, 0.3][..]),
        select(&[0.0, 0.5][..]),
        select(&[100_usize, 3, 1][..]),
        select(&[(0_i64, 0_i64), (1_500, 0), (0, 60_000)][..]),
        select(&[500_usize, 1][..]),
        any::<bool>(),
    )
        .prop_map(
            |(
                seed,
                journal,
                hold,
                loss,
                repeats,
                disorder,
                batch_max,
                (creation_lag_ms, search_lag_ms),
                associations_page,
                missing_batch_is_404,
            )| {
                Weather {
                    seed,
                    journal,
                    hold,
                    loss,
                    repeats,
                    disorder,
                    batch_max,
                    creation_lag_ms,
                    search_lag_ms,
                    associations_page,
                    missing_batch_is_404,
                }
            },
        )
}

fn step(cast: Cast) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => in_jimo(cast),
        54 => in_hubspot(cast),
        4 => failure(),
        1 => Just(Step::ExpireToken),
        2 => (1..3_000_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
        3 => Just(Step::Deliver),
        4 => Just(Step::Apply),
        3 => Just(Step::Settle),
        1 => Just(Step::CatchUp),
        1 => Just(Step::Restart),
    ]
}

/// What happens in Jimo.
pub fn in_jimo(cast: Cast) -> impl Strategy<Value = Step> {
    let address = 0..cast.addresses;
    prop_oneof![
        5 => (0..cast.users, address).prop_map(|(user, address)| Step::PutUser { user, address }),
        1 => (0..cast.users).prop_map(|user| Step::DeleteUser { user }),
    ]
}

/// What happens in HubSpot.
pub fn in_hubspot(cast: Cast) -> impl Strategy<Value = Step> {
    let Cast {
        records, addresses, ..
    } = cast;
    let contact = move || 0..records;
    let other = move || {
        (
            select(&[ObjectType::Companies, ObjectType::Deals][..]),
            0..records,
        )
    };
    let object_type = || select(&ObjectType::ALL[..]);
    let own = prop::option::weighted(0.8, 0..addresses);
    let additional = subsequence((0..addresses).collect::<Vec<_>>(), 0..=2).prop_shuffle();
    prop_oneof![
        16 => set(cast),
        2 => set(cast).prop_map(|step| match step {
            Step::Set { record, field, text, .. } => Step::Calculate { record, field, text },
            other => other,
        }),
        8 => (contact(), own, additional)
            .prop_map(|(contact, own, additional)| Step::Readdress { contact, own, additional }),
        10 => (contact(), other(), prop::bool::weighted(0.3))
            .prop_map(|(contact, to, primary)| Step::Associate { contact, to, primary }),
        3 => (contact(), other()).prop_map(|(contact, to)| Step::Dissociate { contact, to }),
        4 => (object_type(), 0..records).prop_map(|record| Step::Delete { record }),
        5 => object_type().prop_map(|of| Step::Restore { of }),
        1 => contact().prop_map(|contact| Step::Erase { contact }),
        5 => (object_type(), 0..records, 0..records)
            .prop_map(|(of, primary, other)| Step::Merge { of, primary, other }),
    ]
}

fn set(cast: Cast) -> impl Strategy<Value = Step> {
    let text = select(&["", "one", "two", "three", "long"][..]);
    let number = select(&["", "7", "-2.5", "1000"][..]);
    let field = 0..FIELDS.len();
    (field, 0..cast.records, text, number, any::<bool>()).prop_map(
        |(field, slot, text, number, at_once)| {
            let (object_type, _, _, is_number) = FIELDS[field];
            let text = match (is_number, text) {
                (true, _) => number.to_owned(),
                (false, "long") => too_long(),
                (false, text) => text.to_owned(),
            };
            Step::Set {
                record: (object_type, slot),
                field,
                text,
                at_once,
            }
        },
    )
}

fn failure() -> impl Strategy<Value = Step> {
    let routes = [
        Route::BatchRead,
        Route::Associations,
        Route::Search,
        Route::Token,
        Route::Journal,
        Route::JournalFile,
    ];
    let route = select(routes.to_vec());
    let trouble = select(
        &[
            Trouble::TooManyRequests,
            Trouble::Status(502),
            Trouble::CutBody,
            Trouble::Reset,
            Trouble::ResetBefore,
            Trouble::SlowMs(20),
        ][..],
    );
    (route, trouble, 1..5_u32).prop_map(|(route, trouble, times)| Step::Fail {
        route,
        trouble,
        times,
    })
}
