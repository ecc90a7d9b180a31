//! The words of what is kept in short, for people.

use crate::{
    model::{MatchingRule, ObjectMapping, Selection, SelectionRule, UserIdentifier},
    web::pages,
};

/// Where a line of activity came from, as a label.
pub fn origin(word: &str) -> &str {
    match word {
        "webhook" => "Live update",
        "journal" => "HubSpot’s journal",
        "catch_up" => "Daily catch-up",
        "full_sync" => "Full sync",
        "arrival" => "New user",
        "mapping" => "Saved fields",
        "brake" => "Brake",
        "alert" => "Alert",
        "admin" => "Admin",
        "operator" => "Operator",
        other => other,
    }
}

/// Where a line of activity came from, within a sentence.
pub(super) fn by_origin(word: &str) -> &str {
    match word {
        "webhook" => "a live update",
        "journal" => "HubSpot’s journal",
        "catch_up" => "a daily catch-up",
        "full_sync" => "a full sync",
        "arrival" => "a look-up for a new user",
        "mapping" => "fields that were saved",
        other => other,
    }
}

/// What a line of activity did.
pub fn outcome(word: &str) -> &str {
    match word {
        "updated" => "Updated",
        "unchanged" => "Nothing new",
        "skipped" => "Skipped",
        "read_requested" => "Being read",
        "read_put_off" => "Read later",
        "erased" => "Erased",
        "lookup_given_up" => "Not found in time",
        "mappings_saved" => "Fields saved",
        "sync_requested" => "Sync asked for",
        "sync_cancelled" => "Sync cancelled",
        "sync_continued" => "Sync let go on",
        "paused" => "Paused",
        "resumed" => "Resumed",
        "held" => "Held, and asks",
        "released" => "Goes on",
        "alert_began" => "Alert",
        "alert_ended" => "Solved",
        other => other,
    }
}

/// Why a record did nothing, or not all: in a few words, and what to make of it.
pub fn reason(word: &str) -> (&'static str, &'static str) {
    match word {
        "access_revoked" => ("Access revoked", "HubSpot no longer accepts our access."),
        "app_uninstalled" => ("App uninstalled", "The app was uninstalled in HubSpot."),
        "missing_scopes" => (
            "Permissions missing",
            "HubSpot says that our access lacks some.",
        ),
        "late" => ("Late", "Changes waited for a quarter of an hour or longer."),
        "unreadable_values" => ("Unreadable values", "Many values could not be shown."),
        "braked" => (
            "Asks first",
            "It would take values from many users at once.",
        ),
        other => pages::words::reason(other),
    }
}

/// What a user is matched by.
pub(super) fn identifier(identifier: UserIdentifier, name: Option<&str>) -> String {
    match identifier {
        UserIdentifier::Email => "email".to_owned(),
        UserIdentifier::ExternalId => "User ID".to_owned(),
        UserIdentifier::Variable(_) => format!("attribute {}", name.unwrap_or_default()),
    }
}

/// A matching rule; `label`: what people call the source.
pub(super) fn rule(rule: &MatchingRule, name: Option<&str>, label: &str) -> String {
    let user = identifier(rule.identifier, name);
    format!("{} in {label} is the {user} in Jimo", rule.property.name)
}

/// Which of several records feeds a user; `several`: what these are called.
pub(super) fn selection(mapping: &ObjectMapping, several: &str) -> String {
    let selection = mapping.selection.as_ref();
    let which = match selection.map(|selection| selection.rule) {
        None => "the one whose own address matches, then the oldest".to_owned(),
        Some(SelectionRule::Primary) => "the primary one".to_owned(),
        Some(SelectionRule::LatestModified) => "the one that was modified last".to_owned(),
        Some(SelectionRule::LatestCreated) => "the one that was created last".to_owned(),
        Some(SelectionRule::Largest) => {
            let by = selection.and_then(|selection| selection.property.as_ref());
            let by = by.map_or_else(|| "value".to_owned(), ToString::to_string);
            format!("the one with the largest {by}")
        }
    };
    let prefers_open = |selection: &Selection| selection.prefer_open;
    let open = match selection.is_some_and(prefers_open) {
        true => ", open ones first",
        false => "",
    };
    format!("Of several {several}, {which} feeds a user{open}.")
}
