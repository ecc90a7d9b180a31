//! The words of what is kept in short, for people.

use crate::model::{MatchingRule, ObjectMapping, Selection, SelectionRule, UserIdentifier};

/// Where a line of activity came from.
pub fn origin(word: &str) -> &str {
    match word {
        "webhook" => "a live update",
        "journal" => "HubSpot’s journal",
        "catch_up" => "a daily catch-up",
        "full_sync" => "a full sync",
        "arrival" => "the arrival of a user",
        "mapping" => "a saved mapping",
        "brake" => "the brake",
        "alert" => "an alert",
        "admin" => "an admin",
        "operator" => "the operator",
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
        "paused" => "Paused",
        "resumed" => "Resumed",
        "held" => "Held, and asks",
        "released" => "Goes on",
        "alert_began" => "Alert",
        "alert_ended" => "Solved",
        other => other,
    }
}

/// Why a record did nothing, or not all.
pub fn reason(word: &str) -> &str {
    match word {
        "no_match" => "It matches no user in Jimo.",
        "older" => "What it said was known already, or is older than what is known.",
        "deleted" => "The record is deleted in HubSpot.",
        "before_mapping" => "It happened before the field was mapped; a full sync brings it.",
        "held" => "It would take values from many users, so it waits until somebody agrees.",
        "redacted" => "HubSpot hides the value from us.",
        "malformed" => "A value does not fit its attribute’s type.",
        "too_long" => "A value has more than the 700 characters that Jimo takes.",
        "out_of_range" => "A number or a date is too large for its attribute’s type.",
        "unknown_choice" => "The label of a choice is not known yet.",
        "match_not_told" => "HubSpot did not tell the field that records are matched by.",
        "read_older" => "HubSpot’s answer did not know of the change yet; it is asked again.",
        "read_missing" => "HubSpot says that there is no such record; it is asked again.",
        "read_refused" => "HubSpot refuses to let us read the record; it is asked again.",
        "read_unanswered" => "HubSpot’s answer did not speak of the record; it is asked again.",
        "read_not_understood" => "HubSpot’s answer could not be understood; it is asked again.",
        "erased" => "The record was deleted for privacy.",
        "access_revoked" => "HubSpot no longer accepts our access.",
        "app_uninstalled" => "The app was uninstalled in HubSpot.",
        "missing_scopes" => "Permissions are missing in HubSpot.",
        "late" => "Changes wait for long.",
        "unreadable_values" => "Many values cannot be read.",
        "braked" => "What would take values from many users asks first.",
        other => other,
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

/// A matching rule.
pub(super) fn rule(rule: &MatchingRule, name: Option<&str>) -> String {
    let user = identifier(rule.identifier, name);
    format!("{} in HubSpot is the {user} in Jimo", rule.property.name)
}

/// Which of several records feeds a user.
pub(super) fn selection(mapping: &ObjectMapping) -> String {
    let (object_type, selection) = (&mapping.object_type, mapping.selection.as_ref());
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
    format!("Of several {object_type}, {which} feeds a user{open}.")
}
