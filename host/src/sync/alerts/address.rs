//! Which addresses may be called: an admin names them, and must not reach through
//! this host what they could not reach themselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// What may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Whether plain HTTP may be spoken: where the host itself is on loopback, for
    /// development.
    pub plain: bool,
    /// Whether private networks and this machine may be called.
    pub private: bool,
}

/// Why an address is not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is none.
    #[error("This is no address: write it as https://example.com/alerts.")]
    Malformed,
    /// It is not https.
    #[error("The address has to begin with https://.")]
    NotHttps,
    /// A user or a password stand in it.
    #[error(
        "No user and no password may stand in the address; what it needs can stand in its path."
    )]
    Credentials,
    /// It is of a private network, or of this machine.
    #[error("The address is of a private network, and cannot be called from here.")]
    Private,
    /// It is not Slack's.
    #[error("Slack’s incoming webhooks begin with https://hooks.slack.com/.")]
    NotSlack,
}

impl Allowed {
    /// Reads an address that may be called, as far as it tells by itself.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn read(self, text: &str) -> Result<Url, Refused> {
        let url = Url::parse(text.trim()).map_err(|_| Refused::Malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if self.plain => {}
            _ => return Err(Refused::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        let literal = match url.host() {
            None => return Err(Refused::Malformed),
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
        };
        match literal {
            Some(address) if !self.admits(address) => Err(Refused::Private),
            _ => Ok(url),
        }
    }

    /// [`Allowed::read`], for Slack's incoming webhooks.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn read_slack(self, text: &str) -> Result<Url, Refused> {
        let url = self.read(text)?;
        let is_slacks = matches!(
            url.host_str(),
            Some("hooks.slack.com" | "hooks.slack-gov.com")
        );
        match is_slacks || self.private {
            true => Ok(url),
            false => Err(Refused::NotSlack),
        }
    }

    fn admits(self, address: IpAddr) -> bool {
        self.private || is_public(address)
    }
}

/// Finds the addresses of a name, and gives none that may not be called. What is
/// checked is what is connected to: a name cannot change its address in between.
#[derive(Debug)]
pub(super) struct Resolver(pub Allowed);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            if !found.iter().all(|one| allowed.admits(one.ip())) {
                return Err(Refused::Private.into());
            }
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

/// Whether anybody on the internet can reach an address (RFC 6890 and IANA's
/// registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_unspecified()
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        // This network, shared address space, protocol assignments, benchmarks, and
        // what is reserved.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // An address of version 4 in another form: mapped, compatible, translated
    // (RFC 6052) or tunnelled (RFC 3056).
    let embedded = match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some((high, low))
        }
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = embedded {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    // Only this is given out to reach somebody by (RFC 4291 §2.4), without
    // documentation (2001:db8::/32) and protocol assignments (2001::/23).
    let is_global = segments[0] & 0xe000 == 0x2000;
    let is_special = segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0xdb8);
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Allowed = Allowed {
        plain: false,
        private: false,
    };

    #[test]
    fn what_only_this_machine_or_its_network_reaches_is_refused() {
        for private in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0.0.0.0/",
            "https://10.0.0.8/hook",
            "https://172.31.255.1/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://198.19.0.1/",
            "https://255.255.255.255/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::10.0.0.1]/",
            "https://[2002:7f00:1::]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[ff02::1]/",
            "https://[2001:db8::1]/",
        ] {
            assert_eq!(STRICT.read(private), Err(Refused::Private), "{private}");
            let open = Allowed {
                private: true,
                ..STRICT
            };
            assert!(open.read(private).is_ok(), "{private}");
        }
        for public in [
            "https://example.com/alerts?token=1",
            "https://93.184.216.34/",
            "https://[2606:2800:220:1::1]/",
            "https://172.32.0.1/",
        ] {
            assert!(STRICT.read(public).is_ok(), "{public}");
        }
    }

    #[test]
    fn only_https_without_credentials_is_called() {
        assert_eq!(STRICT.read("http://example.com/"), Err(Refused::NotHttps));
        assert_eq!(STRICT.read("ftp://example.com/"), Err(Refused::NotHttps));
        assert_eq!(STRICT.read("example.com"), Err(Refused::Malformed));
        assert_eq!(
            STRICT.read("https://ana:secret@example.com/"),
            Err(Refused::Credentials)
        );
        let development = Allowed {
            plain: true,
            ..STRICT
        };
        assert!(development.read("http://example.com/").is_ok());
        assert_eq!(
            development.read("http://127.0.0.1:9/"),
            Err(Refused::Private)
        );
    }

    #[test]
    fn slacks_webhooks_are_slacks() {
        let slack = "https://hooks.slack.com/services/T0/B0/x";
        assert!(STRICT.read_slack(slack).is_ok());
        let other = "https://hooks.slack.com.example.com/services";
        assert_eq!(STRICT.read_slack(other), Err(Refused::NotSlack));
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_resolved() {
        let name = || "localhost".parse().expect("a name");
        let refused = Resolver(STRICT).resolve(name()).await;
        let error = refused.err().expect("refused");
        assert_eq!(error.to_string(), Refused::Private.to_string());
        let open = Allowed {
            private: true,
            ..STRICT
        };
        assert!(Resolver(open).resolve(name()).await.is_ok());
    }
}
