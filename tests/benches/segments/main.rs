//! How long conditions take over a hundred thousand users with a million values:
//! each operator, of a variable that a segment names and of one that none does.
//! `cargo bench --package jimo-connect-tests --bench segments`; after `--`, how
//! many users, where it should be another number.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on fails by panicking"
)]

use std::time::{Duration, Instant};

use jimo_connect::{
    model::{
        ProjectId, Timestamp, UserId, Value, VariableId, VariableType,
        condition::{
            Attribute, Comparison, Condition, DayTest, ListTest, Number, Point, Rule, Test,
            TextTest,
        },
    },
    store::{Store, Tx, segments::NewSegment, users::UserFilter},
};
use tempfile::TempDir;

const USERS: u64 = 100_000;

/// Users whom one transaction makes.
const BATCH: u64 = 5_000;

/// Users whose keys are made at once, as the host does.
const KEYS_AT_ONCE: usize = 1_000;

/// The shortest of so many runs counts.
const RUNS: usize = 7;

const DAY: i64 = 86_400_000;
const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// Of each user a value of each, but of every tenth in turn.
const VARIABLES: [(&str, VariableType); 10] = [
    ("plan", VariableType::Text),
    ("company", VariableType::Text),
    ("score", VariableType::Number),
    ("trial", VariableType::Boolean),
    ("renewal", VariableType::Date),
    ("seen", VariableType::Datetime),
    ("roles", VariableType::List),
    ("city", VariableType::Text),
    ("seats", VariableType::Number),
    ("note", VariableType::Text),
];

fn main() {
    let users = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let users = users.unwrap_or(USERS);
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Store::open(directory.path()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let project = seed(&store, users).await;
        let bench = Bench { store, project };
        println!("| condition, of {users} users | users in it | no segment names it | first 50 | a segment names it | first 50 |");
        println!("| --- | --- | --- | --- | --- | --- |");
        let cases = cases();
        let mut before = Vec::new();
        for (_, condition) in &cases {
            before.push((bench.count(condition).await, bench.list(condition).await));
        }
        let begun = Instant::now();
        for (name, condition) in &cases {
            bench.save(name, condition).await;
        }
        let saving = begun.elapsed();
        bench.settle().await;
        let found_by = begun.elapsed();
        for ((name, condition), ((count, counting), listing)) in cases.iter().zip(before) {
            let (again, counting_now) = bench.count(condition).await;
            assert_eq!(count, again, "{name}");
            let listing_now = bench.list(condition).await;
            let [counting, listing, counting_now, listing_now] =
                [counting, listing, counting_now, listing_now].map(milliseconds);
            println!("| {name} | {count} | {counting} | {listing} | {counting_now} | {listing_now} |");
        }
        let all = bench.shortest(|tx, project| tx.segment_counts(project, NOW).map(drop)).await;
        println!("| all {} segments counted | | | | {} | |", cases.len(), milliseconds(all));
        let one = bench
            .shortest(|tx, project| tx.segments_of_user(project, UserId(77), NOW).map(drop))
            .await;
        println!("| the segments of one user | | | | {} | |", milliseconds(one));
        println!("| saving segments that name 7 variables | | | | {} | |", milliseconds(saving));
        println!("| until users are found by the values of these | | | | {} | |", milliseconds(found_by));
    });
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

struct Bench {
    store: Store,
    project: ProjectId,
}

impl Bench {
    async fn shortest(
        &self,
        work: impl Fn(&jimo_connect::store::Tx<'_>, ProjectId) -> Result<(), jimo_connect::store::Error>
        + Clone
        + Send
        + 'static,
    ) -> Duration {
        let mut shortest = Duration::MAX;
        for _ in 0..RUNS {
            let (work, project) = (work.clone(), self.project);
            let begun = Instant::now();
            self.store.read(move |tx| work(tx, project)).await.unwrap();
            shortest = shortest.min(begun.elapsed());
        }
        shortest
    }

    /// Makes the keys that segments lack.
    async fn settle(&self) {
        let more = |tx: &Tx<'_>| match tx.next_sought(&[])? {
            Some(variable) => tx.seek_more(variable, KEYS_AT_ONCE).map(|()| true),
            None => Ok(false),
        };
        while self.store.transact_much(more).await.unwrap() {}
    }

    async fn count(&self, condition: &Condition) -> (i64, Duration) {
        let (project, of) = (self.project, condition.clone());
        let counted = self.store.read(move |tx| {
            let audience = tx.audience(project, &of, NOW)?;
            tx.audience_count(&audience)
        });
        let count = counted.await.unwrap();
        let condition = condition.clone();
        let time = self.shortest(move |tx, project| {
            let audience = tx.audience(project, &condition, NOW)?;
            tx.audience_count(&audience).map(drop)
        });
        (count, time.await)
    }

    async fn list(&self, condition: &Condition) -> Duration {
        let condition = condition.clone();
        let list = move |tx: &jimo_connect::store::Tx<'_>, project| {
            let audience = tx.audience(project, &condition, NOW)?;
            let all = UserFilter::default();
            tx.audience_users(&audience, &all, UserId(0), 50).map(drop)
        };
        self.shortest(list).await
    }

    async fn save(&self, name: &str, condition: &Condition) {
        let (project, wanted) = (
            self.project,
            NewSegment {
                name: name.to_owned(),
                description: None,
                condition: condition.clone(),
            },
        );
        let saved = self
            .store
            .transact(move |tx| tx.save_segment(project, None, &wanted, NOW));
        saved.await.unwrap().unwrap();
    }
}

fn rule(variable: usize, test: Test) -> Condition {
    let id = VariableId(i64::try_from(variable).unwrap() + 1);
    Condition::Rule(Rule {
        attribute: Attribute::Variable(id),
        test,
    })
}

fn cases() -> Vec<(&'static str, Condition)> {
    let text = |variable, test| rule(variable, Test::Text(test));
    let score = |comparison| rule(2, Test::Number(comparison));
    let pro = || text(0, TextTest::Is("PRO".into()));
    let day = |days: i64| {
        let moment = jiff::Timestamp::from_millisecond(NOW.0 + days * DAY).unwrap();
        jiff::tz::TimeZone::UTC.to_datetime(moment).date()
    };
    let companies: Vec<String> = (0..20).map(|n| format!("Company {n}")).collect();
    let email = |test| {
        Condition::Rule(Rule {
            attribute: Attribute::Email,
            test: Test::Text(test),
        })
    };
    vec![
        ("text is", pro()),
        ("text is not", text(0, TextTest::IsNot("pro".into()))),
        (
            "text contains",
            text(1, TextTest::Contains("any 99".into())),
        ),
        (
            "text starts with",
            text(1, TextTest::StartsWith("company 1".into())),
        ),
        ("text ends with", text(1, TextTest::EndsWith("77".into()))),
        ("text is one of 20", text(1, TextTest::IsOneOf(companies))),
        ("is empty", rule(0, Test::IsEmpty)),
        ("number =", score(Comparison::Equal(Number(7.0)))),
        ("number ≠", score(Comparison::NotEqual(Number(7.0)))),
        (
            "number >, a tenth",
            score(Comparison::Greater(Number(89.0))),
        ),
        (
            "number ≥, nine tenths",
            score(Comparison::AtLeast(Number(10.0))),
        ),
        (
            "number between",
            score(Comparison::Between(Number(40.0), Number(49.0))),
        ),
        ("boolean is true", rule(3, Test::Boolean(true))),
        (
            "date <",
            rule(4, Test::Date(DayTest::Is(Comparison::Less(day(-20))))),
        ),
        (
            "date in the next 7 days",
            rule(4, Test::Date(DayTest::InNextDays(7))),
        ),
        (
            "datetime = a day",
            rule(
                5,
                Test::Datetime(DayTest::Is(Comparison::Equal(Point::Day(day(-3))))),
            ),
        ),
        (
            "datetime in the last 30 days",
            rule(5, Test::Datetime(DayTest::InLastDays(30))),
        ),
        (
            "list contains any of 2",
            rule(
                6,
                Test::List(ListTest::ContainsAny(vec!["Owner".into(), "viewer".into()])),
            ),
        ),
        (
            "list contains all of 2",
            rule(
                6,
                Test::List(ListTest::ContainsAll(vec!["Owner".into(), "viewer".into()])),
            ),
        ),
        (
            "list contains none of 2",
            rule(
                6,
                Test::List(ListTest::ContainsNone(vec![
                    "Owner".into(),
                    "viewer".into(),
                ])),
            ),
        ),
        (
            "email ends with",
            email(TextTest::EndsWith("77@example.com".into())),
        ),
        (
            "text is AND number >",
            Condition::All(vec![pro(), score(Comparison::Greater(Number(89.0)))]),
        ),
        (
            "text is OR number >",
            Condition::Any(vec![pro(), score(Comparison::Greater(Number(89.0)))]),
        ),
        (
            "three groups of ten rules",
            Condition::All(vec![
                pro(),
                Condition::Any(vec![
                    score(Comparison::Greater(Number(50.0))),
                    rule(3, Test::Boolean(true)),
                    rule(5, Test::Datetime(DayTest::InLastDays(10))),
                    text(1, TextTest::Contains("any 9".into())),
                ]),
                Condition::Not(Box::new(Condition::Any(vec![
                    rule(6, Test::List(ListTest::ContainsAny(vec!["viewer".into()]))),
                    rule(4, Test::Date(DayTest::InNextDays(7))),
                    rule(0, Test::IsEmpty),
                    text(1, TextTest::StartsWith("company 12".into())),
                    email(TextTest::Contains("99".into())),
                ]))),
            ]),
        ),
    ]
}

/// Numbers that look as if they were drawn, the same each time.
fn drawn(user: u64, of: u64, below: u64) -> u64 {
    let mixed = (user * 10 + of).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33) % below
}

fn value(user: u64, variable: usize) -> Value {
    let of = variable as u64;
    let draw = |below| drawn(user, of, below);
    let days = |below: u64| i64::try_from(draw(below)).unwrap() - 50;
    match variable {
        0 => {
            Value::Text(["Free", "Pro", "Team", "Business", "Enterprise"][draw(5) as usize].into())
        }
        1 => Value::Text(format!("Company {}", draw(20_000))),
        2 | 8 => Value::Number(draw(100) as f64),
        3 => Value::Boolean(draw(2) == 1),
        4 => {
            let moment = jiff::Timestamp::from_millisecond(NOW.0 + days(100) * DAY).unwrap();
            Value::Date(jiff::tz::TimeZone::UTC.to_datetime(moment).date())
        }
        5 => Value::Datetime(Timestamp(
            NOW.0 - i64::try_from(draw(100 * 86_400)).unwrap() * 1_000,
        )),
        6 => {
            let all = ["Owner", "editor", "viewer", "billing", "guest"];
            let first = draw(5) as usize;
            Value::List(vec![all[first].into(), all[(first + 2) % 5].into()])
        }
        _ => Value::Text(format!("text {}", draw(1_000_000))),
    }
}

async fn seed(store: &Store, users: u64) -> ProjectId {
    let made = store.transact(|tx| {
        let project = tx.create_project("Segments", "Europe/Paris", NOW)?.id;
        for (name, of) in VARIABLES {
            tx.create_variable(project, name, None, of, NOW)?;
        }
        Ok(project)
    });
    let project = made.await.unwrap();
    for from in (0..users).step_by(BATCH as usize) {
        let filled = store.transact(move |tx| {
            for user in from..(from + BATCH).min(users) {
                let email = format!("user{user}@example.com");
                let id = tx.create_user(project, None, Some(&email), None, NOW)?;
                for variable in 0..VARIABLES.len() {
                    if user % 10 != variable as u64 {
                        let variable_id = VariableId(i64::try_from(variable).unwrap() + 1);
                        tx.set_jimo_value(id, variable_id, Some(&value(user, variable)), NOW)?;
                    }
                }
            }
            Ok(())
        });
        filled.await.unwrap();
    }
    project
}
