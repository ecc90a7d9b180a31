//! Settings → Integrations → connecting an account of a source that only pushes, by
//! the key that its service shows its customer.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::{
    super::{Error, Frame, Section, Visit, extract::Path, html, see_other},
    path,
};
use crate::{
    secrets::Secret,
    sources::Source,
    sync::keyed::{self, Account},
    web::session::Posted,
};

#[derive(Template)]
#[template(path = "integrations/connect.html")]
struct ConnectPage {
    frame: Frame,
    /// The connector's name, and what people call it.
    connector: String,
    label: String,
    /// Whether the host has its secret.
    is_set_up: bool,
    account: String,
    /// What is wrong with the account, and with the key.
    wrong: [Option<&'static str>; 2],
}

async fn show(
    visit: &Visit,
    connector: String,
    account: String,
    wrong: [Option<&'static str>; 2],
) -> Result<Html<String>, Error> {
    let runs = visit.host.plugins.active(&connector);
    let version = match Source::of(&connector) {
        Source::Push => runs.map_err(|_| Error::NotFound("connector"))?,
        Source::HubSpot => return Err(Error::NotFound("connector")),
    };
    let label = version.description().label.clone();
    let title = format!("Connect {label}");
    html(&ConnectPage {
        frame: visit.settings_frame(title, Section::Integrations).await?,
        is_set_up: visit.host.senders.secret(&connector).is_some(),
        connector,
        label,
        account,
        wrong,
    })
}

/// `GET /settings/integrations/connect/{connector}`.
pub async fn page(visit: Visit, Path(connector): Path<String>) -> Result<Html<String>, Error> {
    show(&visit, connector, String::new(), [None; 2]).await
}

/// What the form of [`ConnectPage`] sends.
#[derive(serde::Deserialize)]
pub struct ConnectForm {
    #[serde(default)]
    account: String,
    #[serde(default = "nothing")]
    key: Secret,
}

fn nothing() -> Secret {
    Secret::from(String::new())
}

/// `POST /settings/integrations/connect/{connector}`.
pub async fn connect(
    visit: Visit,
    Path(connector): Path<String>,
    posted: Posted<ConnectForm>,
) -> Result<Response, Error> {
    let project = posted.session.project.id;
    let ConnectForm { account: id, key } = posted.form;
    let account = Account { id, key };
    let wrong = match keyed::connect(&visit.host, project, &connector, &account).await {
        Ok(connection) => return Ok(see_other(&path(connection, ""))),
        Err(keyed::Error::NoAccount) => [Some("This cannot be the id of an account."), None],
        Err(keyed::Error::AlreadyConnected) => [
            Some("This account is connected to the project already."),
            None,
        ],
        Err(keyed::Error::WrongKey) => [
            None,
            Some("This is not the key of that account. Copy it from where the service shows it."),
        ],
        Err(error) => return Err(crate::web::error::Error::from(error).into()),
    };
    let page = show(&visit, connector, account.id, wrong).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
