//! A user's profile: each attribute with where its value comes from.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::response::{Html, Response};

use super::{
    Error, Frame, Section, Visit, base,
    extract::Path,
    format::{Calendar, Moment, Shown, type_name},
    html, live,
    record_links::{RecordLinks, Records, SourceName},
    users::Person,
};
use crate::{
    host::Host,
    model::{ConnectionId, ProjectId, SegmentId, UserId},
    store::{
        self,
        users::{ProfileValue, Source},
    },
    web::session::Session,
};

/// A row of the attributes.
pub struct Row {
    /// What tells it from others when the page is brought up to date.
    pub key: String,
    /// What people call the attribute.
    pub label: String,
    /// The name it is used by, where that differs.
    pub name: Option<String>,
    /// Its type.
    pub type_name: &'static str,
    /// Its value.
    pub value: Shown,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Where a value comes from, as the Source column shows it.
pub enum Origin {
    /// A field that every user has.
    Native,
    /// The customer's own code.
    Jimo {
        /// When we wrote it.
        written: Moment,
    },
    /// A property of a record of a source.
    Record {
        /// The connector to its source.
        source: Arc<SourceName>,
        /// `Contact`, `Company`, `Deal`.
        object: String,
        /// The record's id.
        record: String,
        /// The property.
        property: String,
        /// The record's page.
        link: Option<String>,
        /// Whether that page is another site's.
        is_elsewhere: bool,
        /// When the source changed it.
        changed: Moment,
        /// When we wrote it.
        written: Moment,
        /// Why this is not the source's newest value, where it is not.
        kept: Option<Box<str>>,
    },
}

/// Where a profile stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A page of its own.
    #[default]
    Page,
    /// Beside a record of HubSpot, which the synced values come from; what
    /// every user has is left out.
    Pane,
}

/// A user's profile, as it is shown and streamed.
#[derive(Template)]
#[template(path = "profile_fragment.html")]
pub struct Profile {
    /// Whose.
    pub person: Person,
    /// What stands before the paths of addresses.
    pub base: String,
    /// Where it stands.
    pub place: Place,
    /// The time zone of its moments.
    pub zone: String,
    /// The attributes: native ones first, then the others by name.
    pub rows: Vec<Row>,
    /// Where it is explained what reached the user and what did not: a path for each
    /// connection, and what that is called.
    pub whys: Vec<(String, String)>,
}

impl Profile {
    /// The profile of a user of the project.
    ///
    /// # Errors
    ///
    /// [`store::Error::NotFound`] and the store's own.
    pub fn load(
        tx: &store::Tx<'_>,
        project: ProjectId,
        user: UserId,
        place: Place,
        calendar: &Calendar,
        links: &RecordLinks,
    ) -> Result<Self, store::Error> {
        let user = tx.user(project, user)?;
        let values = tx.profile(user.id)?;
        let mut rows = match place {
            Place::Page => native_rows(&user),
            Place::Pane => Vec::new(),
        };
        let mut accounts = HashMap::new();
        for value in values {
            if let Source::Record { connection, .. } = &value.source
                && !accounts.contains_key(connection)
            {
                accounts.insert(*connection, links.records(tx, *connection)?);
            }
            rows.push(row(value, &accounts, calendar, links));
        }
        let whys = match place {
            Place::Page => whys(tx, project, &user)?,
            Place::Pane => Vec::new(),
        };
        Ok(Self {
            person: user.into(),
            base: links.base.clone(),
            whys,
            place,
            zone: calendar.zone_name(),
            rows,
        })
    }

    /// The level of its heading; the heading within is one further down.
    fn level(&self) -> u8 {
        match self.place {
            Place::Page => 1,
            Place::Pane => 2,
        }
    }

    /// Whether it stands beside a record of HubSpot, and nothing has come of
    /// it.
    fn has_nothing_synced(&self) -> bool {
        let is_synced = |row: &Row| matches!(row.origin, Origin::Record { .. });
        self.place == Place::Pane && !self.rows.iter().any(is_synced)
    }
}

/// Where it is explained what of each connection reached a user.
fn whys(
    tx: &store::Tx<'_>,
    project: ProjectId,
    user: &store::users::User,
) -> Result<Vec<(String, String)>, store::Error> {
    let mut whys = Vec::new();
    for connection in tx.connections(project)? {
        if let Some((account, key)) = connection.account {
            let of = tx
                .account(account)?
                .domain
                .unwrap_or_else(|| key.to_string());
            let path = format!(
                "/settings/integrations/{}/activity?q={}",
                connection.id, user.id
            );
            whys.push((path, of));
        }
    }
    Ok(whys)
}

/// Why a value is not the source's newest, by the word that is kept of it.
fn kept_because(label: &str, unreadable: &str) -> String {
    let why = match unreadable {
        "too_long" => "; it has more than the 700 characters Jimo takes",
        "redacted" => ", and hides it from us",
        "unknown_choice" => ", whose label is not known yet",
        "out_of_range" => ", too large for this attribute’s type",
        _ => ", which does not fit this attribute’s type",
    };
    format!("{label} has a newer value{why}.")
}

fn native_rows(user: &store::users::User) -> Vec<Row> {
    let native = |key: &str, label: &str, value: Option<String>| {
        Some(Row {
            key: format!("native-{key}"),
            label: label.to_owned(),
            name: None,
            type_name: "Text",
            value: Shown::Text(value?),
            origin: Origin::Native,
        })
    };
    [
        native("jimer-id", "Jimer ID", Some(user.id.to_string())),
        native("user-id", "User ID", user.external_id.clone()),
        native("name", "Name", user.name.clone()),
        native("email", "Email", user.email.clone()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn row(
    value: ProfileValue,
    // Of every connection that a value comes from.
    accounts: &HashMap<ConnectionId, Records>,
    calendar: &Calendar,
    links: &RecordLinks,
) -> Row {
    let written = calendar.moment(value.written_at);
    let shown = match &value.source {
        Source::Jimo => calendar.value(&value.value),
        Source::Record { property, .. } => calendar.value_of(property.as_str(), &value.value),
    };
    let origin = match value.source {
        Source::Jimo => Origin::Jimo { written },
        Source::Record {
            connection,
            object_type,
            record,
            property,
            ..
        } => {
            let records = &accounts[&connection];
            let (object, link) = links.to(records, &object_type, &record);
            let source = records.source.clone();
            // The simulated one shows the property.
            let link = link.map(|link| match links.are_elsewhere() {
                true => link,
                false => format!("{link}#{property}"),
            });
            Origin::Record {
                object,
                record: record.as_str().to_owned(),
                property: property.as_str().to_owned(),
                link,
                is_elsewhere: links.are_elsewhere(),
                changed: calendar.moment(value.changed_at),
                written,
                kept: value
                    .unreadable
                    .as_deref()
                    .map(|unreadable| kept_because(&source.label, unreadable).into()),
                source,
            }
        }
    };
    let (label, name) = match value.label {
        Some(label) if label != value.variable => (label, Some(value.variable.clone())),
        _ => (value.variable.clone(), None),
    };
    Row {
        key: format!("attribute-{}", value.variable),
        label,
        name,
        type_name: type_name(value.variable_type),
        value: shown,
        origin,
    }
}

/// The tabs of a profile's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tab {
    Data,
    Segments,
}

impl Tab {
    /// Each with what stands behind the profile's path, and its name.
    const ALL: [(Self, &'static str, &'static str); 2] = [
        (Self::Data, "", "Data"),
        (Self::Segments, "/segments", "Segments"),
    ];
}

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage<T: Template> {
    frame: Frame,
    /// The address that streams what is shown.
    live: String,
    shown: T,
}

/// The profile that a visitor may see.
pub(super) async fn load(visit: &Visit, user: UserId, place: Place) -> Result<Profile, Error> {
    let project = visit.session.project.id;
    let calendar = visit.calendar();
    let links = RecordLinks::new(&visit.host, &visit.surroundings);
    let store = Arc::clone(&visit.host.store);
    Ok(store
        .read(move |tx| Profile::load(tx, project, user, place, &calendar, &links))
        .await?)
}

/// `GET /users/{user}`.
pub async fn page(visit: Visit, Path(user): Path<String>) -> Result<Html<String>, Error> {
    let user = user.parse().map_err(|_| Error::NotFound("user"))?;
    let profile = load(&visit, user, Place::Page).await?;
    html(&ProfilePage {
        frame: visit.frame(profile.person.display_name.clone(), Section::Users),
        live: format!("{}/users/{user}/live", base(&visit.host)),
        shown: profile,
    })
}

/// The segments that a user is in, as they are shown and streamed.
#[derive(Template)]
#[template(path = "profile_segments.html")]
pub struct Membership {
    person: Person,
    base: String,
    segments: Vec<(SegmentId, String, Option<String>)>,
    /// Whether the project has any.
    has_segments: bool,
}

/// The segments of one user.
#[derive(Clone)]
struct MembershipPart {
    host: Arc<Host>,
    user: UserId,
}

impl live::Part for MembershipPart {
    type Shown = Membership;

    fn load(
        &self,
        tx: &store::Tx<'_>,
        session: &Session,
        _: &Calendar,
    ) -> Result<Membership, store::Error> {
        let (project, now) = (session.project.id, self.host.clock.now());
        let person = tx.user(project, self.user)?.into();
        let segments = tx.segments_of_user(project, self.user, now)?.into_iter();
        Ok(Membership {
            person,
            base: base(&self.host),
            segments: segments
                .map(|segment| (segment.id, segment.wanted.name, segment.wanted.description))
                .collect(),
            has_segments: !tx.segments(project)?.is_empty(),
        })
    }
}

/// `GET /users/{user}/segments`.
pub async fn segments(visit: Visit, Path(user): Path<String>) -> Result<Html<String>, Error> {
    let user: UserId = user.parse().map_err(|_| Error::NotFound("user"))?;
    let host = visit.host.clone();
    let part = MembershipPart { host, user };
    let (session, calendar) = (visit.session.clone(), visit.calendar());
    let read = visit
        .host
        .store
        .read(move |tx| live::Part::load(&part, tx, &session, &calendar));
    let shown = read.await?;
    html(&ProfilePage {
        frame: visit.frame(shown.person.display_name.clone(), Section::Users),
        live: format!("{}/users/{user}/segments/live", base(&visit.host)),
        shown,
    })
}

/// `GET /users/{user}/segments/live`.
pub async fn live_segments(visit: Visit, Path(user): Path<String>) -> Result<Response, Error> {
    let part = MembershipPart {
        user: user.parse().map_err(|_| Error::NotFound("user"))?,
        host: visit.host.clone(),
    };
    live::stream(visit, part).await
}
