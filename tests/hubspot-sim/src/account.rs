//! What an account is: its details, and uninstalling the app from it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::response::IntoResponse;
use axum::routing::{delete, get};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::answer::{Answer, nothing};
use crate::request::{Caller, Sim};
use crate::state::Shared;

/// Routes below `/account-info/{version}`.
pub(crate) fn details() -> Router<Arc<Shared>> {
    Router::new().route("/details", get(read_details))
}

/// Routes below `/appinstalls/{version}`.
pub(crate) fn installs() -> Router<Arc<Shared>> {
    Router::new().route("/external-install", delete(uninstall))
}

async fn read_details(State(shared): Sim, caller: Caller) -> Answer {
    let now = shared.clock.now_ms();
    let mut state = shared.lock();
    let account = state.world.account(caller.portal)?;
    let spec = &account.spec;
    let zone = TimeZone::get(&spec.time_zone).unwrap_or(TimeZone::UTC);
    let offset_s =
        Timestamp::from_millisecond(now).map_or(0, |at| i64::from(zone.to_offset(at).seconds()));
    let sign = if offset_s < 0 { '-' } else { '+' };
    let minutes = offset_s.abs() / 60;
    let ui_domain = match spec.hosting.as_str() {
        "na1" => "app.hubspot.com".to_owned(),
        region => format!("app-{region}.hubspot.com"),
    };
    Ok(Json(json!({
        "portalId": spec.portal,
        "accountType": spec.account_type,
        "timeZone": spec.time_zone,
        "companyCurrency": spec.currency,
        "additionalCurrencies": [],
        "utcOffset": format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        "utcOffsetMilliseconds": offset_s * 1_000,
        "uiDomain": ui_domain,
        "dataHostingLocation": spec.hosting,
    }))
    .into_response())
}

async fn uninstall(State(shared): Sim, caller: Caller) -> Answer {
    shared.uninstall(caller.portal);
    nothing()
}
