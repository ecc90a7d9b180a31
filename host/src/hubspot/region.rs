//! Where HubSpot's API is: one address for all, and one for each region that
//! hosts data (product.hubspot.com/blog/routing-api-traffic).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use url::Url;

/// The longest index of a region, in digits: `eu1`, `na2`.
const INDEX_DIGITS_MAX: usize = 3;
/// Stands in a pattern for nothing, or for a dash and the region.
const PLACE: &str = "{-region}";
/// HubSpot's own addresses.
const HUBSPOT: &str = "https://api{-region}.hubapi.com";
/// The region that the address without one leads to.
const UNNAMED: &str = "na1";

/// A place where HubSpot hosts data, such as `eu1`. Two lower-case letters and
/// a small number, so that it can't name any other host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Region(String);

/// A text that names no region.
#[derive(Debug, thiserror::Error)]
#[error("this is not the name of a HubSpot region")]
pub struct NoRegion;

impl Region {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = NoRegion;

    fn from_str(text: &str) -> Result<Self, NoRegion> {
        let (letters, digits) = text.split_at_checked(2).ok_or(NoRegion)?;
        let good = letters.bytes().all(|byte| byte.is_ascii_lowercase())
            && (1..=INDEX_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| Self(text.to_owned())).ok_or(NoRegion)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Region {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The base of all API calls: an address in which `{-region}` may stand for a
/// dash and the region. One without it serves all regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl(String);

/// A text that is no base of API calls.
#[derive(Debug, thiserror::Error)]
#[error(
    "the API's address must be http:// or https:// with a host, without query, fragment or password"
)]
pub struct BadApiUrl;

impl Default for ApiUrl {
    fn default() -> Self {
        Self(HUBSPOT.to_owned())
    }
}

impl FromStr for ApiUrl {
    type Err = BadApiUrl;

    fn from_str(text: &str) -> Result<Self, BadApiUrl> {
        let pattern = text.trim().trim_end_matches('/');
        let url = Url::parse(&pattern.replace(PLACE, "-eu1")).map_err(|_| BadApiUrl)?;
        let good = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        // As it was parsed, schemes are lower case.
        let rest = pattern.split_once(':').map(|(_, rest)| rest);
        rest.filter(|_| good)
            .map(|rest| Self(format!("{}:{rest}", url.scheme())))
            .ok_or(BadApiUrl)
    }
}

impl ApiUrl {
    /// Whether no call goes over TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.0.starts_with("http:")
    }

    /// The address of `path` (which begins with a slash) in a region.
    pub(super) fn of(&self, region: Option<&Region>, path: &str) -> String {
        let place = match region {
            Some(region) if region.as_str() != UNNAMED => format!("-{region}"),
            _ => String::new(),
        };
        self.0.replace(PLACE, &place) + path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_two_letters_and_a_small_number() {
        for good in ["eu1", "na1", "na2", "ap1", "zz123"] {
            assert_eq!(good.parse::<Region>().expect(good).as_str(), good);
        }
        for bad in [
            "",
            "e",
            "eu",
            "1",
            "EU1",
            "eu-1",
            "eu1234",
            "euro1",
            "eu1.evil.example",
            "eu1/",
            "é1",
            "eu1@x",
            " eu1",
            "eu١",
        ] {
            assert!(bad.parse::<Region>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_follow_the_region() {
        let api = ApiUrl::default();
        let region = |name: &str| name.parse::<Region>().expect("region");
        assert_eq!(api.of(None, "/x"), "https://api.hubapi.com/x");
        assert_eq!(
            api.of(Some(&region("na1")), "/x"),
            "https://api.hubapi.com/x"
        );
        assert_eq!(
            api.of(Some(&region("eu1")), "/x"),
            "https://api-eu1.hubapi.com/x"
        );
        let one: ApiUrl = "http://127.0.0.1:9000/".parse().expect("address");
        assert!(one.is_plain() && !api.is_plain());
        assert_eq!(
            one.of(Some(&region("eu1")), "/x"),
            "http://127.0.0.1:9000/x"
        );
    }

    #[test]
    fn a_base_is_an_address_and_nothing_more() {
        for bad in [
            "",
            "api.hubapi.com",
            "ftp://api.hubapi.com",
            "https://u:p@api.hubapi.com",
            "https://api.hubapi.com?x=1",
            "https://api.hubapi.com#x",
        ] {
            assert!(bad.parse::<ApiUrl>().is_err(), "{bad}");
        }
    }
}
