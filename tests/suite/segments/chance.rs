//! Whatever conditions and users: one statement in the database, the filter over
//! one user's values, and a plain reading of the condition name the same users.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{ToSpan, civil::Date, tz::TimeZone};
use jimo_connect::{
    model::{
        ProjectId, SegmentId, Timestamp, UserId, Value, VariableId, VariableType,
        condition::{
            Attribute, Comparison, Condition, DayTest, ListTest, Number, Point, Rule, Test,
            TextTest,
        },
        fold,
    },
    store::{Store, segments::NewSegment, users::UserFilter},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use tempfile::TempDir;

const ZONE: &str = "Europe/Paris";
/// An evening in Paris, two days after its clocks were put back.
const NOW: Timestamp = Timestamp(1_761_601_234_567);
const HOUR: i64 = 3_600_000;

const TYPES: [VariableType; 6] = [
    VariableType::Text,
    VariableType::Number,
    VariableType::Boolean,
    VariableType::Date,
    VariableType::Datetime,
    VariableType::List,
];

const WORDS: [&str; 9] = [
    "Pro",
    "pro",
    "PROFI",
    "Team",
    "Été",
    "e\u{301}te\u{301}",
    "Straße",
    "STRASSE",
    "o",
];

/// A user as a test has it.
#[derive(Clone, Debug)]
struct Person {
    email: Option<String>,
    name: Option<String>,
    external_id: Option<String>,
    /// By the number of the variable's type.
    values: BTreeMap<usize, Value>,
}

fn word() -> impl Strategy<Value = String> {
    select(&WORDS).prop_map(str::to_owned)
}

fn some_words() -> impl Strategy<Value = Vec<String>> {
    vec(word(), 1..4)
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (-5 * 48_i64..=5 * 48).prop_map(|halves| Timestamp(NOW.0 + halves * HOUR / 2))
}

fn day() -> impl Strategy<Value = Date> {
    (-5_i64..=5).prop_map(|days| today().saturating_add(days.days()))
}

fn number() -> impl Strategy<Value = f64> {
    select(&[-1.5, -0.0, 0.0, 1.0, 2.5, 1e300]).boxed()
}

fn value(of: VariableType) -> BoxedStrategy<Value> {
    match of {
        VariableType::Text => word().prop_map(Value::Text).boxed(),
        VariableType::Number => number().prop_map(Value::Number).boxed(),
        VariableType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        VariableType::Date => day().prop_map(Value::Date).boxed(),
        VariableType::Datetime => moment().prop_map(Value::Datetime).boxed(),
        VariableType::List => some_words().prop_map(Value::List).boxed(),
    }
}

fn values() -> impl Strategy<Value = BTreeMap<usize, Value>> {
    let of_each = TYPES.map(|of| proptest::option::of(value(of)));
    of_each.prop_map(|values| {
        let held = values.into_iter().enumerate();
        held.filter_map(|(index, value)| Some((index, value?)))
            .collect()
    })
}

fn person() -> impl Strategy<Value = Person> {
    let text = || proptest::option::of(word());
    (text(), text(), values()).prop_map(|(email, name, values)| Person {
        email: email.map(|word| format!("{word}@example.com")),
        name,
        external_id: None,
        values,
    })
}

fn comparison<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + Clone + 'static,
) -> BoxedStrategy<Comparison<T>> {
    prop_oneof![
        value.clone().prop_map(Comparison::Equal),
        value.clone().prop_map(Comparison::NotEqual),
        value.clone().prop_map(Comparison::Less),
        value.clone().prop_map(Comparison::AtMost),
        value.clone().prop_map(Comparison::Greater),
        value.clone().prop_map(Comparison::AtLeast),
        (value.clone(), value).prop_map(|(first, last)| Comparison::Between(first, last)),
    ]
    .boxed()
}

fn day_test<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + Clone + 'static,
) -> BoxedStrategy<DayTest<T>> {
    prop_oneof![
        4 => comparison(value).prop_map(DayTest::Is),
        1 => (1_u32..5).prop_map(DayTest::InLastDays),
        1 => (1_u32..5).prop_map(DayTest::InNextDays),
    ]
    .boxed()
}

fn point() -> BoxedStrategy<Point> {
    prop_oneof![moment().prop_map(Point::At), day().prop_map(Point::Day)].boxed()
}

fn test(of: VariableType) -> BoxedStrategy<Test> {
    let own = match of {
        VariableType::Text => prop_oneof![
            word().prop_map(TextTest::Is),
            word().prop_map(TextTest::IsNot),
            word().prop_map(TextTest::Contains),
            word().prop_map(TextTest::StartsWith),
            word().prop_map(TextTest::EndsWith),
            some_words().prop_map(TextTest::IsOneOf),
        ]
        .prop_map(Test::Text)
        .boxed(),
        VariableType::Number => comparison(number().prop_map(Number).boxed())
            .prop_map(Test::Number)
            .boxed(),
        VariableType::Boolean => any::<bool>().prop_map(Test::Boolean).boxed(),
        VariableType::Date => day_test(day().boxed()).prop_map(Test::Date).boxed(),
        VariableType::Datetime => day_test(point()).prop_map(Test::Datetime).boxed(),
        VariableType::List => prop_oneof![
            some_words().prop_map(ListTest::ContainsAny),
            some_words().prop_map(ListTest::ContainsAll),
            some_words().prop_map(ListTest::ContainsNone),
        ]
        .prop_map(Test::List)
        .boxed(),
    };
    prop_oneof![6 => own, 1 => Just(Test::IsEmpty)].boxed()
}

/// Variables are numbered as their types are, from 1.
fn rule() -> impl Strategy<Value = Condition> {
    let native = [Attribute::Email, Attribute::Name, Attribute::ExternalId];
    let of_variable = (0..TYPES.len()).prop_flat_map(|index| {
        let variable = Attribute::Variable(variable(index));
        test(TYPES[index]).prop_map(move |test| (variable, test))
    });
    let of_native = (select(native.to_vec()), test(VariableType::Text));
    let of_creation = (Just(Attribute::CreatedAt), test(VariableType::Datetime));
    prop_oneof![8 => of_variable, 2 => of_native, 1 => of_creation]
        .prop_map(|(attribute, test)| Condition::Rule(Rule { attribute, test }))
}

fn condition() -> impl Strategy<Value = Condition> {
    rule().prop_recursive(3, 12, 4, |part| {
        prop_oneof![
            vec(part.clone(), 1..4).prop_map(Condition::All),
            vec(part.clone(), 1..4).prop_map(Condition::Any),
            part.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
}

fn variable(index: usize) -> VariableId {
    VariableId(i64::try_from(index).unwrap() + 1)
}

fn date_of(moment: Timestamp) -> Date {
    let moment = jiff::Timestamp::from_millisecond(moment.0).unwrap();
    TimeZone::get(ZONE).unwrap().to_datetime(moment).date()
}

fn today() -> Date {
    date_of(NOW)
}

/// The condition as it reads.
fn reads(condition: &Condition, person: &Person, segments: &[Condition]) -> bool {
    let each = |part: &Condition| reads(part, person, segments);
    match condition {
        Condition::All(parts) => parts.iter().all(each),
        Condition::Any(parts) => parts.iter().any(each),
        Condition::Not(part) => !each(part),
        Condition::Segment(id) => each(&segments[usize::try_from(id.0).unwrap() - 1]),
        Condition::Rule(rule) => {
            let text = |text: &Option<String>| text.clone().map(Value::Text);
            let value = match rule.attribute {
                Attribute::Email => text(&person.email),
                Attribute::Name => text(&person.name),
                Attribute::ExternalId => text(&person.external_id),
                Attribute::CreatedAt => Some(Value::Datetime(NOW)),
                Attribute::Variable(id) => {
                    let index = usize::try_from(id.0).unwrap() - 1;
                    person.values.get(&index).cloned()
                }
            };
            passes(&rule.test, value)
        }
    }
}

fn passes(test: &Test, value: Option<Value>) -> bool {
    let Some(value) = value else {
        return matches!(
            test,
            Test::IsEmpty
                | Test::Text(TextTest::IsNot(_))
                | Test::Number(Comparison::NotEqual(_))
                | Test::Date(DayTest::Is(Comparison::NotEqual(_)))
                | Test::Datetime(DayTest::Is(Comparison::NotEqual(_)))
                | Test::List(ListTest::ContainsNone(_))
        );
    };
    match (test, value) {
        (Test::IsEmpty, _) => false,
        (Test::Boolean(wanted), Value::Boolean(held)) => *wanted == held,
        (Test::Text(test), Value::Text(held)) => {
            let held = fold(&held);
            match test {
                TextTest::Is(text) => held == fold(text),
                TextTest::IsNot(text) => held != fold(text),
                TextTest::Contains(text) => held.contains(&fold(text)),
                TextTest::StartsWith(text) => held.starts_with(&fold(text)),
                TextTest::EndsWith(text) => held.ends_with(&fold(text)),
                TextTest::IsOneOf(texts) => texts.iter().any(|text| held == fold(text)),
            }
        }
        (Test::List(test), Value::List(held)) => {
            let has = |text: &String| held.iter().any(|item| fold(item) == fold(text));
            match test {
                ListTest::ContainsAny(texts) => texts.iter().any(has),
                ListTest::ContainsAll(texts) => texts.iter().all(has),
                ListTest::ContainsNone(texts) => !texts.iter().any(has),
            }
        }
        (Test::Number(test), Value::Number(held)) => {
            compares(test, |number| held.partial_cmp(&number.0).unwrap())
        }
        (Test::Date(test), Value::Date(held)) => match test {
            DayTest::Is(test) => compares(test, |date| held.cmp(date)),
            DayTest::InLastDays(days) => held <= today() && held >= days_on(-i64::from(*days)),
            DayTest::InNextDays(days) => held >= today() && held <= days_on((*days).into()),
        },
        (Test::Datetime(test), Value::Datetime(held)) => match test {
            DayTest::Is(test) => compares(test, |point| match point {
                Point::At(moment) => held.cmp(moment),
                Point::Day(day) => date_of(held).cmp(day),
            }),
            DayTest::InLastDays(days) => held <= NOW && date_of(held) >= days_on(-i64::from(*days)),
            DayTest::InNextDays(days) => held >= NOW && date_of(held) <= days_on((*days).into()),
        },
        (test, value) => panic!("{test:?} of {value:?}"),
    }
}

fn days_on(days: i64) -> Date {
    today().saturating_add(days.days())
}

fn compares<T>(test: &Comparison<T>, of: impl Fn(&T) -> std::cmp::Ordering) -> bool {
    match test {
        Comparison::Equal(value) => of(value).is_eq(),
        Comparison::NotEqual(value) => of(value).is_ne(),
        Comparison::Less(value) => of(value).is_lt(),
        Comparison::AtMost(value) => of(value).is_le(),
        Comparison::Greater(value) => of(value).is_gt(),
        Comparison::AtLeast(value) => of(value).is_ge(),
        Comparison::Between(first, last) => of(first).is_ge() && of(last).is_le(),
    }
}

/// A store with users, and those whose values change once segments are there.
struct World {
    store: Store,
    directory: TempDir,
    project: ProjectId,
    users: Vec<UserId>,
}

impl World {
    async fn new(people: Vec<Person>) -> Self {
        let directory = TempDir::new().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let made = store.transact(move |tx| {
            let project = tx.create_project("A project", ZONE, NOW)?.id;
            let other = tx.create_project("Another", ZONE, NOW)?.id;
            for (index, of) in TYPES.into_iter().enumerate() {
                let made = tx.create_variable(project, of.as_str(), None, of, NOW)?;
                assert_eq!(made, variable(index));
            }
            tx.create_user(other, None, Some("pro@example.com"), Some("Pro"), NOW)?;
            let mut users = Vec::new();
            for person in &people {
                let (email, name) = (person.email.as_deref(), person.name.as_deref());
                let user = tx.create_user(project, None, email, name, NOW)?;
                for (index, value) in &person.values {
                    tx.set_jimo_value(user, variable(*index), Some(value), NOW)?;
                }
                users.push(user);
            }
            Ok((project, users))
        });
        let (project, users) = made.await.unwrap();
        Self {
            store,
            directory,
            project,
            users,
        }
    }

    async fn save(&self, condition: &Condition, number: usize) -> SegmentId {
        let (project, condition) = (self.project, condition.clone());
        let saved = self.store.transact(move |tx| {
            let wanted = NewSegment {
                name: format!("Segment {number}"),
                description: None,
                condition,
            };
            tx.save_segment(project, None, &wanted, NOW)
        });
        saved.await.unwrap().unwrap()
    }

    /// Whom the database names, by where they are among the users; and how many
    /// it counts.
    async fn asked(&self, condition: &Condition) -> (BTreeSet<usize>, i64) {
        let (project, condition) = (self.project, condition.clone());
        let asked = self.store.read(move |tx| {
            let audience = tx.audience(project, &condition, NOW)?;
            let all = UserFilter::default();
            let users = tx.audience_users(&audience, &all, UserId(0), 1_000)?;
            Ok((users, tx.audience_count(&audience)?))
        });
        let (users, count) = asked.await.unwrap();
        let places = users
            .iter()
            .map(|user| self.users.iter().position(|one| *one == user.id).unwrap());
        (places.collect(), count)
    }

    /// How many keys users are found by.
    fn found_by_values(&self) -> i64 {
        let path = self.directory.path().join("store.sqlite");
        let store = rusqlite::Connection::open(path).unwrap();
        let count = "SELECT count(*) FROM sought_values";
        store.query_one(count, [], |row| row.get(0)).unwrap()
    }

    /// The segments that a user is in.
    async fn of_user(&self, user: usize) -> BTreeSet<SegmentId> {
        let (project, user) = (self.project, self.users[user]);
        let read = self
            .store
            .read(move |tx| tx.segments_of_user(project, user, NOW));
        let segments = read.await.unwrap();
        segments.into_iter().map(|segment| segment.id).collect()
    }

    async fn change(&self, people: &mut [Person], changes: Vec<(usize, BTreeMap<usize, Value>)>) {
        for (place, values) in changes {
            let Some(person) = people.get_mut(place) else {
                continue;
            };
            person.values.clone_from(&values);
            let user = self.users[place];
            let changed = self.store.transact(move |tx| {
                for index in 0..TYPES.len() {
                    tx.set_jimo_value(user, variable(index), values.get(&index), NOW)?;
                }
                Ok(())
            });
            changed.await.unwrap();
        }
    }

    async fn check(&self, people: &[Person], conditions: &[Condition], segments: &[Condition]) {
        for condition in conditions {
            let expected: BTreeSet<usize> = (0..people.len())
                .filter(|place| reads(condition, &people[*place], segments))
                .collect();
            let (asked, count) = self.asked(condition).await;
            assert_eq!(asked, expected, "{condition:?}");
            assert_eq!(
                usize::try_from(count).unwrap(),
                expected.len(),
                "{condition:?}"
            );
        }
    }
}

#[test]
fn the_database_one_users_filter_and_a_plain_reading_name_the_same_users() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let changes = vec((0_usize..12, values()), 0..8);
    let strategy = (
        vec(person(), 1..12),
        vec(condition(), 1..8),
        vec(condition(), 1..6),
        changes,
    );
    let outcome = runner.run(&strategy, |(mut people, segments, others, changes)| {
        runtime.block_on(async {
            let world = World::new(people.clone()).await;
            // Nobody is found by values yet.
            world.check(&people, &segments, &segments).await;
            for (index, condition) in segments.iter().enumerate() {
                world.save(condition, index).await;
            }
            let mut all: Vec<Condition> = segments.iter().chain(&others).cloned().collect();
            let saved = (1..=segments.len()).map(|id| SegmentId(i64::try_from(id).unwrap()));
            all.extend(saved.map(Condition::Segment));
            world.check(&people, &all, &segments).await;
            world.change(&mut people, changes).await;
            world.check(&people, &all, &segments).await;
            for (place, person) in people.iter().enumerate() {
                let expected: BTreeSet<SegmentId> = (1..)
                    .zip(&segments)
                    .filter(|(_, condition)| reads(condition, person, &segments))
                    .map(|(id, _)| SegmentId(id))
                    .collect();
                assert_eq!(world.of_user(place).await, expected);
            }
            // Nothing is kept for segments that are gone.
            let project = world.project;
            let deleted = world.store.transact(move |tx| {
                for segment in tx.segments(project)? {
                    tx.delete_segment(project, segment.id)?.unwrap();
                }
                Ok(())
            });
            deleted.await.unwrap();
            assert_eq!(world.found_by_values(), 0);
            world.check(&people, &others, &[]).await;
        });
        Ok(())
    });
    outcome.unwrap();
}
