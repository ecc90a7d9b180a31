//! What the journal tells of the app's own life in an account: the host's matter,
//! not a record's (HubSpot: webhooks journal guide, app lifecycle events).

use serde::Deserialize;

use crate::model::Timestamp;

/// HubSpot's id of the event that the app was uninstalled.
pub(super) const UNINSTALLED: &str = "4-1916193";
/// The same, as the action of an event.
const UNINSTALL: &str = "APP_UNINSTALL";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event {
    #[serde(alias = "eventTypeId")]
    object_type_id: serde_json::Value,
    action: serde_json::Value,
    occurred_at: serde_json::Value,
}

/// When an event of the journal says that the app was uninstalled from its
/// account; none where it says something else, or does not say when: it may be
/// from before the app was installed again.
pub fn uninstalled_at(event: &[u8]) -> Option<Timestamp> {
    // Most events are of records, and need no second reading.
    if !contains(event, UNINSTALLED) && !contains(event, UNINSTALL) {
        return None;
    }
    let event: Event = serde_json::from_slice(event).ok()?;
    let uninstalled = event.object_type_id.as_str() == Some(UNINSTALLED)
        || event.action.as_str() == Some(UNINSTALL);
    moment(&event.occurred_at).filter(|_| uninstalled)
}

/// A moment in ISO 8601, as the journal has them, or in milliseconds.
fn moment(value: &serde_json::Value) -> Option<Timestamp> {
    match value {
        serde_json::Value::String(text) => {
            let moment: jiff::Timestamp = text.parse().ok()?;
            Some(Timestamp(moment.as_millisecond()))
        }
        value => value.as_i64().map(Timestamp),
    }
}

fn contains(event: &[u8], word: &str) -> bool {
    event
        .windows(word.len())
        .any(|window| window == word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uninstallation_is_told_by_its_type_or_its_action() {
        let at = |event: &str| uninstalled_at(event.as_bytes());
        let told = Some(Timestamp(1_782_371_969_536));
        for event in [
            r#"{"type":"appLifecycleEvent","portalId":1,"occurredAt":"2026-06-25T07:19:29.536Z","action":"APP_UNINSTALL","objectTypeId":"4-1916193"}"#,
            r#"{"eventTypeId":"4-1916193","occurredAt":1782371969536}"#,
            r#"{"action":"APP_UNINSTALL","occurredAt":"2026-06-25T07:19:29.536Z"}"#,
        ] {
            assert_eq!(at(event), told, "{event}");
        }
        for other in [
            r#"{"action":"APP_UNINSTALL"}"#,
            r#"{"action":"APP_INSTALL","objectTypeId":"4-1909196"}"#,
            r#"{"action":"UPDATE","propertyChanges":{"note":"4-1916193 APP_UNINSTALL"}}"#,
            r#"{"action":"UPDATE","objectTypeId":"0-1"}"#,
            "[]",
            "4-1916193",
        ] {
            assert_eq!(at(other), None, "{other}");
        }
    }
}
