//! Audience → Users.

use askama::Template;
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::{
    Error, Frame, Section, Visit,
    audience::{Act, Built, Group, GroupView, Offers, Views, path_text},
    extract::Query,
    format, html,
    paging::Pages,
    see_other,
};
use crate::{
    model::UserId,
    sqlite,
    store::{
        self, Tx,
        users::{User, UserFilter},
    },
};

/// Users on one page.
const PAGE_USERS: usize = 50;

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    frame: Frame,
    query: String,
    /// The conditions that narrow the list, where there are any.
    tree: Option<GroupView>,
    /// The conditions in an address.
    filter_query: String,
    /// Whether a segment could have the conditions.
    may_save: bool,
    has_error: bool,
    /// Whether it took too long to find out who matches.
    is_late: bool,
    missing: usize,
    users: Vec<Person>,
    total: String,
    summary: String,
    pages: Pages,
}

/// A user as people recognise them.
#[derive(Clone, Debug)]
pub struct Person {
    /// Jimo's own id.
    pub id: UserId,
    /// The name, else the e-mail address, else `Anonymous`.
    pub display_name: String,
    /// Up to two letters in place of a picture.
    pub initials: String,
    /// One of eight colours, the same for the same user.
    pub tone: i64,
    /// The name.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The customer's own id.
    pub external_id: Option<String>,
}

impl From<User> for Person {
    fn from(user: User) -> Self {
        let display_name = user
            .name
            .clone()
            .or_else(|| user.email.clone())
            .or_else(|| user.external_id.clone())
            .unwrap_or_else(|| "Anonymous".to_owned());
        Self {
            id: user.id,
            initials: initials(&display_name),
            tone: user.id.0.rem_euclid(8),
            display_name,
            name: user.name,
            email: user.email,
            external_id: user.external_id,
        }
    }
}

/// Up to two letters in place of a picture.
pub(super) fn initials(name: &str) -> String {
    name.split(|c: char| !c.is_alphanumeric())
        .filter_map(|word| word.chars().next())
        .take(2)
        .flat_map(char::to_uppercase)
        .collect()
}

/// What an address says of the list.
struct Asked {
    text: String,
    after: Option<UserId>,
    back: String,
    next: Option<Vec<usize>>,
    draft: Group,
}

impl Asked {
    fn read(pairs: &[(String, String)]) -> Result<Self, Error> {
        let field = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.trim())
        };
        let after = field("after").map(str::parse).transpose();
        let next = field("at").map(|at| {
            let places = at.split('-').filter(|place| !place.is_empty());
            places.map(str::parse).collect::<Result<Vec<usize>, _>>()
        });
        Ok(Self {
            text: field("q").unwrap_or_default().to_owned(),
            after: after.map_err(|_| Error::BadAddress)?,
            back: field("back").unwrap_or_default().to_owned(),
            next: next.transpose().map_err(|_| Error::BadAddress)?,
            draft: Group::read(pairs).map_err(|_| Error::BadAddress)?,
        })
    }

    /// The list's address without where it goes on.
    fn query(&self) -> String {
        let filter = self.draft.query();
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !self.text.is_empty() {
            query.append_pair("q", &self.text);
        }
        let text = query.finish();
        let parts = [text, filter].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("&")
    }
}

/// Whom the list has.
struct Listed {
    total: i64,
    /// How many pass the conditions, where there are any.
    passing: Option<i64>,
    users: Vec<User>,
    built: Built,
    tree: GroupView,
}

/// `GET /users`. What a button of the filter does is done to the address.
pub async fn page(
    visit: Visit,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let mut asked = Asked::read(&pairs)?;
    if let Some(act) = Act::of(&pairs) {
        let next = asked.draft.act(&act).map(|path| path_text(&path));
        let mut address = format!("/users?{}", asked.query());
        if let Some(at) = next.filter(|_| !asked.draft.parts.is_empty()) {
            address.push_str(&format!("&at={at}"));
        }
        return Ok(see_other(address.trim_end_matches('?')));
    }
    let (filter_query, list_query) = (asked.draft.query(), asked.query());
    let Asked {
        text,
        after,
        back,
        next,
        draft,
    } = asked;
    let is_filtered = !draft.parts.is_empty();
    let (project, now) = (visit.session.project.id, visit.host.clock.now());
    let filter = UserFilter {
        text: (!text.is_empty()).then(|| text.clone()),
        ..UserFilter::default()
    };
    let is_first = after.is_none();
    let after = after.unwrap_or(UserId(0));
    // `is_asked`: whether the conditions are.
    let load = move |tx: &Tx<'_>, is_asked: bool| {
        let offers = Offers::load(tx, project, None)?;
        let built = Built::new(&offers, None, draft.clone());
        let (mut passing, mut users) = (None, Vec::new());
        match &built.condition {
            Some(_) if !is_asked => {}
            Some(condition) => {
                let audience = tx.audience(project, condition, now)?;
                passing = Some(tx.audience_count(&audience)?);
                users = tx.audience_users(&audience, &filter, after, PAGE_USERS + 1)?;
            }
            // What cannot be understood narrows to nobody, not to everyone.
            None if !built.errors.is_empty() => {}
            None => users = tx.users(project, &filter, after, PAGE_USERS + 1)?,
        }
        let views = Views {
            tx,
            project,
            offers: &offers,
            built: &built,
            next: next.as_ref(),
        };
        let tree = views.tree()?;
        Ok(Listed {
            total: tx.user_count(project)?,
            passing,
            users,
            built,
            tree,
        })
    };
    let store = &visit.host.store;
    let (listed, is_late) = if is_filtered {
        let (asks, gives_up) = (load.clone(), load);
        match store.ask(move |tx| asks(tx, true)).await {
            // What was built is not lost with it.
            Err(store::Error::Database(sqlite::Error::TookTooLong)) => {
                (store.read(move |tx| gives_up(tx, false)).await?, true)
            }
            asked => (asked?, false),
        }
    } else {
        (store.read(move |tx| load(tx, true)).await?, false)
    };
    let Listed {
        total,
        passing,
        mut users,
        built,
        tree,
    } = listed;
    let more = users.len() > PAGE_USERS;
    users.truncate(PAGE_USERS);
    let next = users.last().filter(|_| more).map(|user| user.id);
    let at = (!is_first).then(|| after.to_string());
    let next = next.map(|next| next.to_string());
    let pages = Pages::new(&list_query, "after", (at, &back), next);
    let total = format::count(total);
    let summary = match (users.len(), is_first && !more, passing) {
        (0, ..) => "No users found".to_owned(),
        (_, _, Some(passing)) if text.is_empty() => {
            let verb = if passing == 1 { "matches" } else { "match" };
            format!("{} of {total} users {verb}", format::count(passing))
        }
        (_, _, None) if text.is_empty() => String::new(),
        (1, true, _) => "1 user found".to_owned(),
        (shown, true, _) => format!("{shown} users found"),
        (shown, false, _) => format!("{shown} users on this page"),
    };
    let page = UsersPage {
        frame: visit.frame("Users", Section::Users),
        query: text,
        tree: is_filtered.then_some(tree),
        filter_query,
        may_save: built.condition.is_some() && visit.session.may_change(),
        has_error: !built.errors.is_empty(),
        is_late,
        missing: built.missing.len(),
        users: users.into_iter().map(Person::from).collect(),
        total,
        summary,
        pages,
    };
    Ok(html(&page)?.into_response())
}
