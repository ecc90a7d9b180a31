//! A full sync or a catch-up: what it is, how it goes about it, how far it is.

use serde::{Deserialize, Serialize};

use super::{ConnectionId, ObjectType, Problem, RecordId, RunId, Timestamp};

/// What a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Reads all that can reach a user, started by hand.
    Full,
    /// Reads what changed recently, and looks whether what is linked is still
    /// so.
    CatchUp,
}

impl RunKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::CatchUp => "catch_up",
        }
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// At work, or waiting for its turn.
    Running,
    /// Held by the brake, until somebody lets it go on or cancels it.
    Braked,
    /// Done.
    Completed,
    /// Over, and not all of it could be done.
    Failed,
    /// Ended by somebody.
    Cancelled,
}

impl RunStatus {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Braked => "braked",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it is not over.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Braked)
    }
}

/// How the records of a type are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// All records of the type, page by page.
    Records,
    /// Those that have one of the users' identifiers, a hundred users a call.
    Users,
    /// Those that are associated to records that are linked.
    Associations,
    /// Those that changed, and those that are linked.
    Changes,
}

/// How a run goes about one object type, and what that costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Planned {
    /// The object type.
    pub object_type: ObjectType,
    /// How its records are found.
    pub way: Way,
    /// How many records are looked at.
    pub records: u64,
    /// How many calls that takes.
    pub calls: u64,
}

/// What is left of a run, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum Stage {
    /// All records of a type.
    Records {
        /// The type.
        object_type: ObjectType,
        /// What is left of their ids; none before they are split.
        ranges: Option<Vec<Range>>,
    },
    /// The records that have one of the users' identifiers.
    Users {
        /// The type.
        object_type: ObjectType,
        /// The last user that was asked for.
        after: i64,
    },
    /// In a dry run: the records that have one of the users' identifiers.
    Keys {
        /// The type.
        object_type: ObjectType,
        /// The last identifier that was asked for.
        after: Option<String>,
    },
    /// The records that changed.
    Changes {
        /// The type.
        object_type: ObjectType,
        /// The highest id that was looked at.
        after: Option<RecordId>,
    },
    /// The associations of linked records.
    Associations {
        /// The type of the linked records.
        object_type: ObjectType,
        /// The type that they are associated to.
        to_type: ObjectType,
        /// The last record that was asked for, by its number in the store.
        after: i64,
    },
    /// The records that reach users, and were not read since the run began.
    Reached {
        /// The type.
        object_type: ObjectType,
        /// The last record that was asked for, by its number in the store.
        after: i64,
    },
    /// A sample of what reaches users is read again, and compared with what they
    /// show.
    Proof {
        /// The type.
        object_type: ObjectType,
        /// What is left of the sample; none before it is drawn.
        sample: Option<Vec<RecordId>>,
    },
    /// Until all is answered that was asked for.
    Answers,
}

/// A range of ids that is read page by page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Where the page before left off; none at the start.
    pub after: Option<String>,
    /// Ids up to this one belong to the range before.
    pub above: u64,
    /// The last id; none where it ends with the list.
    pub until: Option<u64>,
}

/// A full sync or a catch-up.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Whose.
    pub connection: ConnectionId,
    /// What it is.
    pub kind: RunKind,
    /// Whether it writes nothing.
    pub dry_run: bool,
    /// Whether it looks at what changed alone.
    pub brief: bool,
    /// Who asked for it: `admin`, `operator` or `schedule`.
    pub origin: String,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// The number that it took when it began: what was read since is not read
    /// again.
    pub sequence: i64,
    /// The moment from which on changes are looked for.
    pub since: Option<Timestamp>,
    /// How it goes about it.
    pub plan: Vec<Planned>,
    /// What is left of it, the stage it is in first; none before it is planned.
    pub stages: Option<Vec<Stage>>,
    /// Records that are done.
    pub done: u64,
    /// Records in all, as far as is known.
    pub total: Option<u64>,
    /// What could not be done.
    pub problem: Option<Problem>,
    /// Why its brake holds it.
    pub held: Option<Problem>,
}
