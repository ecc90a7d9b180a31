//! What a saved mapping changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ObjectType, PropertyName, SelectionRule, Shown};

/// One thing that saving a connection's mappings changed. It is stored, so a
/// case never changes its meaning; names are as they were then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum MappingChange {
    /// A property feeds a variable from now on.
    FieldAdded {
        /// The type of the records.
        object_type: ObjectType,
        /// The property.
        property: PropertyName,
        /// The variable's name.
        variable: String,
        /// Whether the variable held values of Jimo's own side, which HubSpot's
        /// replace.
        took_over: bool,
    },
    /// A property feeds a variable no more.
    FieldRemoved {
        /// The type of the records.
        object_type: ObjectType,
        /// The property.
        property: PropertyName,
        /// The variable's name.
        variable: String,
        /// Whether its values became ordinary Jimo values; else they are gone.
        values_kept: bool,
    },
    /// A variable shows something else of a choice.
    ShownChanged {
        /// The type of the records.
        object_type: ObjectType,
        /// The property.
        property: PropertyName,
        /// The variable's name.
        variable: String,
        /// What it shows now.
        show: Shown,
    },
    /// Records of a type are matched in another way.
    MatchingChanged {
        /// The type of the records.
        object_type: ObjectType,
        /// How they are matched now.
        rule: MatchedBy,
        /// Whether the values that came of the rule before became ordinary Jimo
        /// values; else they are gone. None where there was no rule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        values_kept: Option<bool>,
    },
    /// Another of several records feeds a user.
    SelectionChanged {
        /// The type of the records.
        object_type: ObjectType,
        /// The rule; none where matches decide.
        rule: Option<SelectionRule>,
        /// The property of `largest`.
        property: Option<PropertyName>,
        /// Whether open records come before closed ones.
        prefer_open: bool,
    },
    /// Records of a type reach nobody any more.
    ObjectRemoved {
        /// The type of the records.
        object_type: ObjectType,
    },
}

/// How records of a type are matched, in words that stay true when variables
/// are renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// By a property of their own.
    Property {
        /// The property.
        property: PropertyName,
        /// What it is compared with: `email`, `external_id` or `variable:NAME`.
        user: String,
    },
    /// Through the records of another type that have them.
    Through {
        /// The other type.
        object_type: ObjectType,
    },
}

impl fmt::Display for MatchedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property { property, user } => {
                let user = match user.as_str() {
                    "email" => "the user’s email".to_owned(),
                    "external_id" => "the User ID".to_owned(),
                    other => {
                        let name = other.strip_prefix("variable:").unwrap_or(other);
                        format!("the attribute {name}")
                    }
                };
                write!(f, "by {property}, which has to equal {user}")
            }
            Self::Through { object_type } => write!(f, "through their {object_type}"),
        }
    }
}

fn kept(values_kept: bool) -> &'static str {
    match values_kept {
        true => "values were kept",
        false => "values were cleared",
    }
}

/// In a sentence, for people.
impl fmt::Display for MappingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldAdded {
                object_type,
                property,
                variable,
                took_over,
            } => {
                let over = match took_over {
                    true => ", which took over values that Jimo had",
                    false => "",
                };
                write!(f, "Added {property} of {object_type} to {variable}{over}.")
            }
            Self::FieldRemoved {
                object_type,
                property,
                variable,
                values_kept,
            } => write!(
                f,
                "Removed {property} of {object_type} from {variable}; its {}.",
                kept(*values_kept)
            ),
            Self::ShownChanged {
                object_type,
                property,
                variable,
                show,
            } => {
                let show = match show {
                    Shown::Label => "the label",
                    Shown::InternalValue => "the internal value",
                };
                write!(f, "{variable} shows {show} of {property} of {object_type}.")
            }
            Self::MatchingChanged {
                object_type,
                rule,
                values_kept,
            } => {
                write!(f, "Records of {object_type} are matched {rule}")?;
                match values_kept {
                    Some(values) => write!(f, "; earlier {}.", kept(*values)),
                    None => f.write_str("."),
                }
            }
            Self::SelectionChanged {
                object_type,
                rule,
                property,
                prefer_open,
            } => {
                let which = match rule {
                    None => "the one that matches best feeds a user".to_owned(),
                    Some(SelectionRule::Primary) => "the primary one feeds a user".to_owned(),
                    Some(SelectionRule::LatestModified) => {
                        "the one that was modified last feeds a user".to_owned()
                    }
                    Some(SelectionRule::LatestCreated) => {
                        "the one that was created last feeds a user".to_owned()
                    }
                    Some(SelectionRule::Largest) => {
                        let by = property.as_ref().map_or("value", PropertyName::as_str);
                        format!("the one with the largest {by} feeds a user")
                    }
                };
                let open = match prefer_open {
                    true => ", open ones first",
                    false => "",
                };
                write!(f, "Of several {object_type}, {which}{open}.")
            }
            Self::ObjectRemoved { object_type } => {
                write!(f, "Records of {object_type} are not synced any more.")
            }
        }
    }
}
