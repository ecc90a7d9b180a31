//! Operator → Set aside: what could not be worked on, by reason, and its bytes. These
//! are other people's data: they are shown as they came, and kept by nobody.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
};
use url::form_urlencoded;

use super::{
    super::{
        Error, Frame, Section, Visit,
        extract::{Path, Query},
        format::{self, Calendar, Moment},
        html,
        live::{self, Part},
    },
    LOOK_EVERY, SET_ASIDE, short, still_operates,
};
use crate::{
    host::Host,
    log::EntryKind,
    store::{
        self, Tx,
        set_aside::{Filter, ForReason, Listed},
    },
    web::session::Session,
};

/// How many one page lists.
const PAGE_ROWS: usize = 50;

/// Reasons that are told apart; the rarest beyond that are found by the filter alone.
const REASONS_MAX: usize = 50;

/// How much of a body a page shows; the rest is for whoever takes the bytes.
const SHOWN_BYTES_MAX: usize = 64 << 10;

/// Which of it. Fields of a form that are left empty are sent as nothing.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct AsideQuery {
    /// Those whose reason has this in it.
    pub reason: String,
    /// Those that this version failed on, by digest.
    pub plugin: String,
    /// The number of the last one before this page.
    pub cursor: Option<i64>,
}

impl AsideQuery {
    pub(super) fn filter(&self) -> Filter {
        let given = |text: &str| {
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Filter {
            reason: given(&self.reason),
            plugin: given(&self.plugin),
            ..Filter::default()
        }
    }

    /// What stands in the address of the same list.
    fn kept(&self) -> String {
        let mut kept = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("reason", &self.reason), ("plugin", &self.plugin)] {
            if !value.is_empty() {
                kept.append_pair(name, value);
            }
        }
        kept.finish()
    }
}

/// What is set aside for one reason.
struct Reason {
    reason: String,
    /// The address of the list of it.
    query: String,
    count: String,
    size: String,
    oldest: Moment,
    newest: Moment,
    is_one: bool,
}

/// Something that is set aside, as it is listed.
struct Row {
    id: i64,
    at: Moment,
    kind: &'static str,
    /// What people call the connector that it came by.
    connector: String,
    account: Option<String>,
    reason: String,
    plugin: Option<String>,
    size: String,
    word: &'static str,
    tone: &'static str,
    replayed: Option<Moment>,
}

fn row(listed: Listed, host: &Host, calendar: &Calendar) -> Row {
    let (word, tone) = match (listed.waits, listed.replayed_at) {
        (true, _) => ("Waits for its turn", ""),
        (false, Some(_)) => ("Failed again", "bad"),
        (false, None) => ("", ""),
    };
    Row {
        id: listed.id,
        at: calendar.moment(listed.at),
        kind: match listed.kind {
            EntryKind::Delivery => "Delivery",
            EntryKind::JournalFile => "Journal file",
        },
        connector: host.plugins.label(&listed.connector),
        account: listed.account.map(|account| account.to_string()),
        reason: listed.reason,
        plugin: listed.plugin.map(|digest| short(&digest).to_owned()),
        size: format::bytes(listed.size_bytes),
        word,
        tone,
        replayed: listed.replayed_at.map(|at| calendar.moment(at)),
    }
}

/// What the page brings up to date.
struct Shown {
    base: String,
    csrf: String,
    reasons: Vec<Reason>,
    rows: Vec<Row>,
    /// How many the filter finds.
    found: u64,
    found_text: String,
    total_text: String,
    is_filtered: bool,
    reason: String,
    plugin: String,
    is_first: bool,
    kept: String,
    next: Option<i64>,
}

#[derive(Template)]
#[template(path = "operator/set_aside_fragment.html")]
struct AsideFragment {
    shown: Shown,
}

#[derive(Clone)]
struct AsidePart {
    host: Arc<Host>,
    base: String,
    query: AsideQuery,
}

impl Part for AsidePart {
    type Shown = AsideFragment;

    fn load(
        &self,
        tx: &Tx<'_>,
        session: &Session,
        calendar: &Calendar,
    ) -> Result<AsideFragment, store::Error> {
        still_operates(session)?;
        let filter = self.query.filter();
        let after = self.query.cursor.unwrap_or_default();
        let mut listed = tx.list_set_aside(&filter, after, PAGE_ROWS + 1)?;
        let has_more = listed.len() > PAGE_ROWS;
        listed.truncate(PAGE_ROWS);
        let next = listed.last().map(|last| last.id).filter(|_| has_more);
        let found = tx.count_set_aside(&filter)?;
        let total = tx.count_set_aside(&Filter::default())?;
        let reasons = tx.set_aside_reasons(REASONS_MAX)?.into_iter();
        let kept = self.query.kept();
        let shown = Shown {
            base: self.base.clone(),
            csrf: session.csrf(&self.host).expose().to_owned(),
            reasons: reasons.map(|one| reason(one, calendar)).collect(),
            rows: listed
                .into_iter()
                .map(|one| row(one, &self.host, calendar))
                .collect(),
            found,
            found_text: format::count(found),
            total_text: format::count(total),
            is_filtered: !kept.is_empty(),
            reason: self.query.reason.clone(),
            plugin: self.query.plugin.clone(),
            is_first: self.query.cursor.is_none(),
            kept,
            next,
        };
        Ok(AsideFragment { shown })
    }

    fn looks_every(&self) -> Duration {
        LOOK_EVERY
    }

    /// It looks at all that is set aside.
    fn gathers(&self) -> Duration {
        LOOK_EVERY
    }
}

fn reason(one: ForReason, calendar: &Calendar) -> Reason {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("reason", &one.reason);
    Reason {
        query: query.finish(),
        count: format::count(one.count),
        size: format::bytes(one.size_bytes),
        oldest: calendar.moment(one.oldest),
        newest: calendar.moment(one.newest),
        is_one: one.count == 1,
        reason: one.reason,
    }
}

#[derive(Template)]
#[template(path = "operator/set_aside.html")]
struct AsidePage {
    frame: Frame,
    /// The address of the stream, after the path.
    address: String,
    /// Plugin versions to choose from: digest and name.
    versions: Vec<(String, String)>,
    shown: Shown,
}

/// `GET /operator/set-aside`.
pub async fn page(visit: Visit, Query(query): Query<AsideQuery>) -> Result<Html<String>, Error> {
    let frame = visit.frame("Set aside", Section::SetAside);
    let mut address = query.kept();
    if let Some(cursor) = query.cursor {
        address.push_str(&format!("&cursor={cursor}"));
    }
    let part = AsidePart {
        host: visit.host.clone(),
        base: frame.bare.base.clone(),
        query,
    };
    let (session, calendar) = (visit.session.clone(), visit.calendar());
    let loaded = visit.host.store.read(move |tx| {
        let shown = part.load(tx, &session, &calendar)?.shown;
        Ok((shown, tx.plugin_versions()?))
    });
    let (shown, versions) = loaded.await?;
    let named = |version: store::plugins::PluginVersion| {
        let name = format!("{} ({})", version.version, short(&version.digest));
        (version.digest, name)
    };
    html(&AsidePage {
        frame,
        address,
        versions: versions.into_iter().rev().map(named).collect(),
        shown,
    })
}

/// `GET /operator/set-aside/live`.
pub async fn live(visit: Visit, Query(query): Query<AsideQuery>) -> Result<Response, Error> {
    let part = AsidePart {
        host: visit.host.clone(),
        base: super::super::base(&visit.host),
        query,
    };
    live::stream(visit, part).await
}

#[derive(Template)]
#[template(path = "operator/one_set_aside.html")]
struct OnePage {
    frame: Frame,
    row: Row,
    plugin: Option<String>,
    text: String,
    /// How much of the bytes the text has, where it has not all.
    cut: Option<String>,
}

/// `GET /operator/set-aside/{number}`.
pub async fn one(visit: Visit, Path(number): Path<i64>) -> Result<Html<String>, Error> {
    let read = visit.host.store.read(move |tx| tx.one_set_aside(number));
    let (listed, body) = read.await?;
    let beginning = &body[..body.len().min(SHOWN_BYTES_MAX)];
    let plugin = listed.plugin.clone();
    html(&OnePage {
        frame: visit.frame(format!("Set aside No. {number}"), Section::SetAside),
        row: row(listed, &visit.host, &visit.calendar()),
        plugin,
        text: text(beginning),
        cut: (beginning.len() < body.len()).then(|| format::bytes(SHOWN_BYTES_MAX as u64)),
    })
}

/// Bytes as a text in which everything can be seen: what is no text, and what changes
/// how text is shown, is written as its code.
fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' | '\t' => text.push(letter),
                // Writing to a text never fails.
                _ if letter.is_control() || is_unseen(letter) => {
                    let _ = write!(text, "\\u{{{:x}}}", u32::from(letter));
                }
                _ => text.push(letter),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Whether a character shows nothing itself, or turns the direction of others.
fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// `GET /operator/set-aside/{number}/bytes`: the bytes themselves, as a file.
pub async fn bytes(visit: Visit, Path(number): Path<i64>) -> Result<Response, Error> {
    let read = visit.host.store.read(move |tx| tx.one_set_aside(number));
    let (_, body) = read.await?;
    let name = format!("attachment; filename=\"set-aside-{number}\"");
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, name),
    ];
    Ok((headers, body).into_response())
}

/// The path of one's page.
pub(super) fn path(number: i64) -> String {
    format!("{SET_ASIDE}/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_so_that_nothing_in_them_is_hidden() {
        for (bytes, shown) in [
            (&b"[{\"a\": 1}]\n"[..], "[{\"a\": 1}]\n"),
            ("Zo\u{eb}".as_bytes(), "Zo\u{eb}"),
            ("a\u{202e}b\u{200b}c".as_bytes(), "a\\u{202e}b\\u{200b}c"),
            (b"\0\x1b[31m", "\\u{0}\\u{1b}[31m"),
            (b"a\xffb\xc3", "a\\xffb\\xc3"),
        ] {
            assert_eq!(text(bytes), shown);
        }
    }
}
