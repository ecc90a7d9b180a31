//! What the health page says of proofs, limits, ways and totals.

use super::{
    super::super::{
        format::{self, Calendar, Moment},
        users::Person,
        words,
    },
    run::people,
};
use crate::{
    model::{ProjectId, Timestamp},
    plugin::Description,
    store::{self, Tx, hours::Tally},
    web::api::connection_state::{self, Budget, Proof},
};

/// Differences of the last proof that are shown.
const DIFFERING_MAX: usize = 10;

/// What came of comparing values with HubSpot.
pub(super) struct Proven {
    pub at: Moment,
    pub sentence: String,
    pub differing: Vec<Differing>,
}

/// A value that differs.
pub(super) struct Differing {
    pub person: Person,
    pub variable: String,
    pub why: String,
}

/// What is used of the request limit.
pub(super) struct Used {
    pub used: u32,
    pub allowed: u32,
    pub sentence: String,
}

/// A way by which changes arrive.
pub(super) struct Way {
    pub object: String,
    pub way: &'static str,
    pub properties: String,
    pub why: String,
}

/// Counts, for people.
pub(super) struct Totals {
    pub updated: String,
    pub unchanged: String,
    pub no_match: String,
    pub waiting: String,
    pub skipped: String,
    pub unreadable: String,
    pub values_written: String,
    pub webhooks: String,
    pub journal: String,
    pub reads: String,
}

/// All hours together.
pub(super) fn totals(hours: impl Iterator<Item = Tally>) -> Totals {
    let mut all = Tally::default();
    for one in hours {
        all.webhooks += one.webhooks;
        all.journal += one.journal;
        all.reads += one.reads;
        all.updated += one.updated;
        all.unchanged += one.unchanged;
        all.no_match += one.no_match;
        all.waiting += one.waiting;
        all.skipped += one.skipped;
        all.unreadable += one.unreadable;
        all.values_written += one.values_written;
    }
    Totals {
        updated: format::count(all.updated),
        unchanged: format::count(all.unchanged),
        no_match: format::count(all.no_match),
        waiting: format::count(all.waiting),
        skipped: format::count(all.skipped),
        unreadable: format::count(all.unreadable),
        values_written: format::count(all.values_written),
        webhooks: format::count(all.webhooks),
        journal: format::count(all.journal),
        reads: format::count(all.reads),
    }
}

/// What the last proof found.
pub(super) fn proven(
    tx: &Tx<'_>,
    project: ProjectId,
    proof: &Proof,
    calendar: &Calendar,
) -> Result<Proven, store::Error> {
    let (compared, equal) = (proof.compared, proof.equal);
    let mut differing = Vec::new();
    for one in proof.differing.iter().take(DIFFERING_MAX) {
        // Those who are gone show nothing that could differ.
        for person in people(tx, project, vec![one.user])? {
            differing.push(Differing {
                person,
                variable: one.variable.clone(),
                why: match &*one.reason {
                    "differs" => "It differs. The next catch-up compares it again.".to_owned(),
                    "not_filled" => "It was mapped since; a full sync fills it in.".to_owned(),
                    reason => words::reason(reason).0.to_owned(),
                },
            });
        }
    }
    Ok(Proven {
        at: calendar.moment(proof.at),
        sentence: match compared {
            0 => "There was nothing to compare.".to_owned(),
            compared if compared == equal => {
                format!(
                    "All {} compared values equal HubSpot’s.",
                    format::count(compared)
                )
            }
            compared => format!(
                "{} of {} compared values equal HubSpot’s.",
                format::count(equal),
                format::count(compared)
            ),
        },
        differing,
    })
}

/// What is said of a proof that found values to differ, unless a full sync that began
/// later has read them again.
pub(super) fn differing(proof: Option<&Proof>, full_sync: Option<Timestamp>) -> Option<String> {
    let proof = proof.filter(|proof| full_sync.is_none_or(|at| at < proof.at))?;
    let count = proof.compared - proof.equal;
    (count > 0).then(|| {
        format!(
            "What changes in HubSpot reaches your users by itself. Of {} values that were \
             compared last, {} {} not HubSpot’s.",
            format::count(proof.compared),
            format::count(count),
            if count == 1 { "is" } else { "are" }
        )
    })
}

/// What is used of a request limit.
pub(super) fn used(budget: &Budget, calendar: &Calendar) -> Used {
    let within = match budget.per {
        "day" => format!(
            "requests used today; counted anew at {}",
            calendar.clock(budget.resets_at)
        ),
        _ => "requests used in the present ten seconds".to_owned(),
    };
    Used {
        used: budget.used,
        allowed: budget.allowed.max(1),
        sentence: format!(
            "{} of {} {within}.",
            format::count(budget.used),
            format::count(budget.allowed)
        ),
    }
}

/// The ways by which changes arrive, in the order of the object types.
pub(super) fn ways(live: &[connection_state::Live], said: Option<&Description>) -> Vec<Way> {
    let place = |live: &&connection_state::Live| {
        let types = said.into_iter().flat_map(|said| &said.object_types);
        let place = types
            .enumerate()
            .find(|(_, one)| one.name == live.object_type);
        place.map_or(usize::MAX, |(place, _)| place)
    };
    let mut live: Vec<_> = live.iter().collect();
    live.sort_by_key(place);
    let way = |live: &connection_state::Live| Way {
        object: said
            .and_then(|said| said.object_type(&live.object_type))
            .map_or_else(|| live.object_type.to_string(), |one| one.label.clone()),
        way: match live.way {
            "webhooks" => "Webhooks",
            "journal" => "HubSpot’s journal",
            _ => "Every few minutes",
        },
        properties: format::count(live.properties.len() as u64),
        why: live.why.clone(),
    };
    live.into_iter().map(way).collect()
}
