//! Who waits for reads of an account is told when some were answered.

use std::{collections::HashMap, sync::Mutex};

use tokio::sync::watch;

use super::lock;
use crate::model::AccountId;

/// The accounts whose answers somebody waits for.
#[derive(Debug, Default)]
pub struct Answered(Mutex<HashMap<AccountId, watch::Sender<()>>>);

impl Answered {
    /// Moves whenever reads or look-ups of an account were answered, from now on.
    pub(super) fn of(&self, account: AccountId) -> watch::Receiver<()> {
        let mut accounts = lock(&self.0);
        accounts.retain(|_, told| told.receiver_count() > 0);
        accounts.entry(account).or_default().subscribe()
    }

    /// Some of an account's were.
    pub(super) fn tell(&self, account: AccountId) {
        if let Some(told) = lock(&self.0).get(&account) {
            told.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_an_account_is_told_of_that_one_alone() {
        let answered = Answered::default();
        let (mut first, mut again) = (answered.of(AccountId(1)), answered.of(AccountId(1)));
        let other = answered.of(AccountId(2));
        answered.tell(AccountId(1));
        answered.tell(AccountId(3));
        assert!(first.changed().await.is_ok());
        assert!(again.changed().await.is_ok());
        assert_eq!(other.has_changed().ok(), Some(false));
    }

    #[test]
    fn nothing_is_kept_of_whom_nobody_waits_for() {
        let answered = Answered::default();
        drop(answered.of(AccountId(1)));
        let _waits = answered.of(AccountId(2));
        assert_eq!(lock(&answered.0).len(), 1);
    }
}
