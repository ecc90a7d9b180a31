//! Pages of a list, forth and back. A list goes on after a cursor; where it came
//! from, its address says itself: the cursors of the pages between the first and
//! this one.

/// The most pages that an address knows the way back over: one that is longer leads
/// from there to the first.
const BACK_MAX: usize = 50;

/// What stands between two cursors; no cursor has one.
const BETWEEN: char = '.';

/// The pages beside one, as the queries of their addresses.
pub struct Pages {
    /// The first, where this is neither that one nor the second.
    pub first: Option<String>,
    /// The one before; none of the first.
    pub previous: Option<String>,
    /// The one after; none of the last.
    pub next: Option<String>,
}

impl Pages {
    /// Of the page after the cursor `at` of a list, whose address says `query` beside,
    /// its cursor by `name`, and `back` as this made it.
    pub fn new(
        query: &str,
        name: &str,
        (at, back): (Option<String>, &str),
        next: Option<String>,
    ) -> Self {
        // Whatever else an address says is no cursor of ours.
        let is_cursor = |one: &&str| {
            !one.is_empty() && one.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let mut way: Vec<&str> = back.split(BETWEEN).filter(is_cursor).collect();
        let page = |cursor: &str, way: &[&str]| {
            let way = &way[way.len().saturating_sub(BACK_MAX)..];
            let mut parts = vec![query.to_owned(), format!("{name}={cursor}")];
            if !way.is_empty() {
                parts.push(format!("back={}", way.join(&BETWEEN.to_string())));
            }
            parts.retain(|part| !part.is_empty());
            parts.join("&")
        };
        let next = next.map(|cursor| {
            let way: Vec<&str> = way.iter().copied().chain(at.as_deref()).collect();
            page(&cursor, &way)
        });
        let first = at.is_some().then(|| query.to_owned());
        match way.pop() {
            None => Self {
                first: None,
                previous: first,
                next,
            },
            Some(last) => Self {
                previous: at.is_some().then(|| page(last, &way)),
                first,
                next,
            },
        }
    }

    /// Whether there are others.
    pub fn are_several(&self) -> bool {
        self.previous.is_some() || self.next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an address says of a name.
    fn field(query: &str, name: &str) -> Option<String> {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(found, _)| *found == name);
        found.map(|(_, value)| value.to_owned())
    }

    fn page(number: usize, query: &str) -> Pages {
        let back = field(query, "back").unwrap_or_default();
        let next = Some((number + 1).to_string());
        Pages::new("q=x", "after", (field(query, "after"), &back), next)
    }

    #[test]
    fn each_page_leads_back_the_way_that_led_to_it() {
        let mut queries = vec!["q=x".to_owned()];
        for number in 0..BACK_MAX + 2 {
            let next = page(number, &queries[number]).next;
            queries.push(next.expect("goes on"));
        }
        assert_eq!(queries[3], "q=x&after=3&back=1.2");
        let first = page(0, &queries[0]);
        assert!(first.previous.is_none() && first.first.is_none());
        let second = page(1, &queries[1]);
        assert_eq!(
            (second.previous.as_deref(), second.first),
            (Some("q=x"), None)
        );
        for number in 2..BACK_MAX + 2 {
            let here = page(number, &queries[number]);
            assert_eq!(here.previous.as_ref(), Some(&queries[number - 1]));
            assert_eq!(here.first.as_deref(), Some("q=x"));
        }
    }

    #[test]
    fn an_address_has_no_more_of_the_way_than_it_may_and_nothing_of_what_it_lacks() {
        let long: Vec<String> = (0..BACK_MAX + 9).map(|one| one.to_string()).collect();
        let pages = Pages::new(
            "",
            "cursor",
            (Some("7".into()), &long.join(".")),
            Some("8".into()),
        );
        let back = field(&pages.next.expect("goes on"), "back").expect("a way");
        assert_eq!(back.split(BETWEEN).count(), BACK_MAX);
        let forged = Pages::new("", "cursor", (Some("7".into()), "1.2&q=y.<b>.3"), None);
        assert_eq!(forged.previous.as_deref(), Some("cursor=3&back=1"));
        let only = Pages::new("", "cursor", (None, ""), Some("8".into()));
        assert_eq!(only.next.as_deref(), Some("cursor=8"));
        assert!(only.previous.is_none() && only.are_several());
    }
}
