//! How many file descriptors the process may have, and how many of them may be
//! connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most connections that are open at once, however many descriptors there
/// are: each costs some tens of kilobytes while it sends a request.
const CONNECTIONS_MAX: usize = 4_096;

/// The part of all descriptors that may be connections to us. The rest is for
/// files and for calls to HubSpot.
const CONNECTIONS_SHARE: f64 = 0.75;

/// How many connections may be open at once. Raises the limit of descriptors as
/// far as the process may: it is low by default for programs that use `select`.
pub fn for_connections() -> usize {
    let limit = raise();
    let connections = of(limit);
    if connections < CONNECTIONS_MAX {
        tracing::warn!(
            limit,
            connections,
            "few file descriptors are allowed; raise the hard limit of open files"
        );
    }
    connections
}

/// Raises the limit to the highest that is allowed, and returns it; none where
/// there is no limit.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            limit.current
        }
    }
}

fn of(limit: Option<u64>) -> usize {
    // The cast cuts a fraction off, and stops at the largest number there is.
    let share = limit.map_or(CONNECTIONS_MAX, |limit| {
        (limit as f64 * CONNECTIONS_SHARE) as usize
    });
    share.clamp(1, CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_few_descriptors_and_never_too_many_are_connections() {
        assert_eq!(of(Some(1_024)), 768);
        assert_eq!(of(Some(1)), 1);
        for many in [Some(1 << 20), Some(u64::MAX), None] {
            assert_eq!(of(many), CONNECTIONS_MAX);
        }
    }
}
