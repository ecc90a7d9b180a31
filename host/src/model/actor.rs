//! Who did something.

use serde::{Deserialize, Serialize};

/// Who did something to a connection. It is stored, so a case never changes its
/// meaning; names are as they were then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// Somebody who signed in by name.
    Member {
        /// The name.
        name: String,
    },
    /// Somebody who signed in by a link that names nobody.
    Link,
    /// A program, by an API token.
    Token {
        /// The token's number, as `token list` shows it.
        number: i64,
        /// What people call the token, where they named it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// Whoever has the command line.
    Operator,
}

impl Actor {
    /// The word for where activity comes from that they cause.
    pub fn origin(&self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Member { .. } | Self::Link | Self::Token { .. } => "admin",
        }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Member { name } => f.write_str(name),
            Self::Link => f.write_str("an admin, by a sign-in link"),
            Self::Token {
                name: Some(name), ..
            } => write!(f, "API token “{name}”"),
            Self::Token { number, name: None } => write!(f, "API token {number}"),
            Self::Operator => f.write_str("the operator, by the command line"),
        }
    }
}
