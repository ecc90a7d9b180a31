//! Ids: of our own things, and of the source's.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Declares an id of our own: a number inside, `prefix_number` outside.
macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = UnknownId;

            fn from_str(text: &str) -> Result<Self, UnknownId> {
                text.strip_prefix(concat!($prefix, "_"))
                    // One spelling each: no sign, no leading zero.
                    .filter(|digits| digits.starts_with(|c: char| ('1'..='9').contains(&c)))
                    .and_then(|digits| digits.parse().ok())
                    .map(Self)
                    .ok_or(UnknownId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A text that is no id of the kind asked for.
#[derive(Debug, thiserror::Error)]
#[error("there is no such id")]
pub struct UnknownId;

own_id!(
    /// A Jimo workspace.
    ProjectId,
    "prj"
);
own_id!(
    /// Somebody who signs in: a member of projects.
    PersonId,
    "per"
);
own_id!(
    /// A user of a project, by Jimo's own id.
    UserId,
    "usr"
);
own_id!(
    /// A variable of a project.
    VariableId,
    "var"
);
own_id!(
    /// A segment of a project.
    SegmentId,
    "seg"
);
own_id!(
    /// A full sync or a catch-up.
    RunId,
    "run"
);
own_id!(
    /// The source's side of connections: one HubSpot portal.
    AccountId,
    "acc"
);
own_id!(
    /// One account connected to one project.
    ConnectionId,
    "con"
);
own_id!(
    /// Where a connection's alerts go.
    AlertChannelId,
    "alc"
);
own_id!(
    /// The mapping of one object type of a connection.
    MappingId,
    "map"
);
own_id!(
    /// A field mapping, or a property that a selection depends on.
    FieldId,
    "fld"
);

/// Declares a text that the source names something by.
macro_rules! source_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as the source writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

source_text!(
    /// The source's own id of an account: a HubSpot portal id. Accounts of two
    /// connectors may have the same.
    AccountKey
);
source_text!(
    /// A type of record, as the plugin names it: `contacts`.
    ObjectType
);
source_text!(
    /// The source's id of a record.
    RecordId
);
source_text!(
    /// The source's name of a property.
    PropertyName
);
