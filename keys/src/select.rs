//! Which key people seal to: the newest Active one of a kind, by the record that the controller publishes.

use bulla_shared::age::{Algorithm, Recipient};
use bulla_shared::resources::sealing_key::{KeyState, SealingKey};
use jiff::Timestamp;

/// A published key that may seal now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingRecipient {
    /// Name of the `SealingKey`.
    pub name: String,
    /// The key.
    pub recipient: Recipient,
    /// When it was made.
    pub created: Timestamp,
}

/// The newest Active key of `algorithm`. One whose record is incomplete, does not match its own fingerprint or lies in the future
/// is passed over: whoever may write a `SealingKey` must not win by a date.
#[must_use]
pub fn newest_active(keys: &[SealingKey], algorithm: Algorithm, now: Timestamp) -> Option<SealingRecipient> {
    let usable = keys.iter().filter_map(|key| {
        let status = key.status.as_ref()?;
        let recipient: Recipient = status.recipient.as_ref()?.parse().ok()?;
        let created: Timestamp = status.created.as_ref()?.parse().ok()?;
        let named = status.fingerprint.as_ref()?.parse().ok() == Some(recipient.fingerprint());
        let active = status.state == Some(KeyState::Active) && recipient.algorithm() == algorithm;
        let name = key.metadata.name.clone().unwrap_or_default();
        (named && active && created <= now).then_some(SealingRecipient { name, recipient, created })
    });
    usable.max_by_key(|key| (key.created, key.recipient.fingerprint().id()))
}

#[cfg(test)]
mod tests {
    use bulla_shared::age::Identity;
    use bulla_shared::resources::sealing_key::{SealingKeySpec, SealingKeyStatus};

    use super::*;

    fn key(name: &str, state: KeyState, algorithm: Algorithm, created: &str) -> SealingKey {
        let recipient = Identity::generate(algorithm).recipient().clone();
        let mut key = SealingKey::new(name, SealingKeySpec::default());
        key.status = Some(SealingKeyStatus {
            state: Some(state),
            fingerprint: Some(recipient.fingerprint().to_string()),
            recipient: Some(recipient.to_string()),
            created: Some(created.to_owned()),
            ..SealingKeyStatus::default()
        });
        key
    }

    #[test]
    fn the_newest_active_of_the_kind_that_is_not_in_the_future() {
        let now = "2026-11-23T00:00:00Z".parse().unwrap();
        let mut keys = vec![
            key("old", KeyState::Active, Algorithm::Hybrid, "2025-01-01T00:00:00Z"),
            key("new", KeyState::Active, Algorithm::Hybrid, "2026-01-01T00:00:00Z"),
            key("newer", KeyState::DecryptOnly, Algorithm::Hybrid, "2026-02-01T00:00:00Z"),
            key("other", KeyState::Active, Algorithm::X25519, "2026-03-01T00:00:00Z"),
            key("future", KeyState::Active, Algorithm::Hybrid, "2026-11-23T00:00:01Z"),
        ];
        let name = |keys: &[SealingKey], algorithm| newest_active(keys, algorithm, now).map(|key| key.name);
        assert_eq!(name(&keys, Algorithm::Hybrid).as_deref(), Some("new"));
        assert_eq!(name(&keys, Algorithm::X25519).as_deref(), Some("other"));
        let stranger = keys[3].status.clone().unwrap().fingerprint;
        keys[1].status.as_mut().unwrap().fingerprint = stranger;
        assert_eq!(name(&keys, Algorithm::Hybrid).as_deref(), Some("old"));
        assert_eq!(name(&[], Algorithm::Hybrid), None);
    }
}
