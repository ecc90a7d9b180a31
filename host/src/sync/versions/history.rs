//! What the history of activations says: which version was chosen, and which one
//! a rollback goes back to.

use crate::store::{
    self, Tx,
    plugins::{Activation, PluginVersion, Why},
};

/// The versions of which each was activated in place of the one before it; the
/// last is the chosen one. Going back takes it away, so going back twice goes
/// back by two. Empty where none was ever activated.
pub fn chosen(activations: &[Activation]) -> Vec<&str> {
    let mut chosen: Vec<&str> = Vec::new();
    let for_all = |activation: &&Activation| activation.switch.connection.is_none();
    for activation in activations.iter().filter(for_all) {
        let digest = activation.switch.digest.as_str();
        if chosen.is_empty() {
            chosen.extend(activation.before.as_deref());
        }
        match activation.switch.why {
            Why::Operator => chosen.push(digest),
            Why::Rollback | Why::Automatic => {
                // What lies between was removed, or could not be run.
                let place = chosen.iter().rposition(|below| *below == digest);
                chosen.truncate(place.map_or(0, |place| place + 1));
                if place.is_none() {
                    chosen.push(digest);
                }
            }
        }
    }
    chosen
}

/// The version that was chosen; none where it is the built-in one, of whatever
/// release.
pub fn chosen_version(tx: &Tx<'_>, connector: &str) -> Result<Option<PluginVersion>, store::Error> {
    let activations = tx.activations(connector)?;
    match chosen(&activations).last() {
        Some(digest) => Ok(known(tx, digest)?.filter(|version| version.file.is_some())),
        None => Ok(None),
    }
}

/// The version that a rollback goes back to; those that were removed are passed
/// over. None where there is none.
pub fn before(tx: &Tx<'_>, connector: &str) -> Result<Option<PluginVersion>, store::Error> {
    let activations = tx.activations(connector)?;
    // One that only stands in for what was chosen may be gone back to as well.
    let running = tx.running(connector)?;
    for digest in chosen(&activations).iter().rev().skip(1) {
        let version = match (known(tx, digest)?, &running) {
            // The one of another release is in no file: that of this stands for it.
            (Some(version), Some(running)) if version.file.is_none() => match &running.built_in {
                Some(built_in) => known(tx, built_in)?,
                None => None,
            },
            (version, _) => version,
        };
        let is_chosen = |version: &PluginVersion| {
            let running = running.as_ref();
            running.is_some_and(|running| running.is_chosen(&version.digest))
        };
        if let Some(version) = version.filter(|version| !is_chosen(version)) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

fn known(tx: &Tx<'_>, digest: &str) -> Result<Option<PluginVersion>, store::Error> {
    match tx.plugin_version(digest) {
        Ok(version) => Ok(Some(version)),
        Err(store::Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Timestamp, store::plugins::Switch};

    fn switched(steps: &[(Why, &str, &str)]) -> Vec<Activation> {
        let activation = |(id, (why, before, digest)): (i64, &(Why, &str, &str))| Activation {
            id,
            switch: Switch {
                connector: "crm".into(),
                connection: None,
                digest: (*digest).into(),
                by: "a test".into(),
                why: *why,
                reason: None,
            },
            before: Some((*before).into()),
            at: Timestamp(id),
        };
        (0..).zip(steps).map(activation).collect()
    }

    #[test]
    fn going_back_twice_goes_back_by_two() {
        use Why::{Automatic, Operator, Rollback};
        let mut steps = vec![(Operator, "built in", "one"), (Operator, "one", "two")];
        assert_eq!(chosen(&switched(&steps)), ["built in", "one", "two"]);
        steps.push((Automatic, "two", "one"));
        assert_eq!(chosen(&switched(&steps)), ["built in", "one"]);
        steps.push((Rollback, "one", "built in"));
        assert_eq!(chosen(&switched(&steps)), ["built in"]);
        steps.push((Operator, "built in", "two"));
        assert_eq!(chosen(&switched(&steps)), ["built in", "two"]);
    }

    #[test]
    fn going_back_past_what_was_removed_takes_that_away_too() {
        use Why::{Operator, Rollback};
        let steps = [
            (Operator, "built in", "one"),
            (Operator, "one", "two"),
            (Rollback, "two", "built in"),
        ];
        assert_eq!(chosen(&switched(&steps)), ["built in"]);
    }

    #[test]
    fn nothing_is_chosen_where_nobody_chose() {
        assert!(chosen(&[]).is_empty());
    }
}
