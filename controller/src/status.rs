//! What the status of a `SealedSecret` says: conditions as kstatus reads them, and one entry per item. Nothing depends on plaintext.

use bulla_keys::KeyRing;
use bulla_shared::binding::time_text;
use bulla_shared::opening::{ItemError, ItemReport, Refusal, SpecError};
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealed_secret::{Applied, ItemState, ItemStatus, SealedSecretStatus};
use bulla_shared::sealed::{Keys as _, SealedError};
use jiff::Timestamp;

use crate::api::ApiError;
use crate::index::{RememberedItem, SealedHead};
use crate::plan::Stop;

/// The word for a Secret of somebody else in the place of ours.
pub const FOREIGN: &str = "ForeignSecret";

/// The word for a Secret that may not be written any more.
pub const CONSENT_REMOVED: &str = "ConsentRemoved";

/// The word for a merge of some of the items.
pub const NOT_CONSENTED: &str = "ItemsNotConsented";

/// The word for a Secret to merge into that is not there.
const NO_TARGET: &str = "SecretMissing";

/// The word for values whose key is not here.
pub const KEY_MISSING: &str = "KeyMissing";

/// The word for an object that cannot be read.
pub const MALFORMED: &str = "Malformed";

/// The condition of an object that has values under a key in other hands.
pub const KEY_COMPROMISED: &str = "KeyCompromised";

/// The condition of an object that has values whose `rotate-by` has come.
pub const ROTATION_DUE: &str = "RotationDue";

/// How one reconciliation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The Secret is as asked.
    Ready(Applied),
    /// Only a change of an object or a key can help.
    Stalled(Reason),
    /// What can help is not watched: it is looked at now and then.
    Blocked(Reason),
    /// It is tried again by itself.
    Retrying(Reason),
    /// The author asked to leave it alone.
    Suspended(Reason),
}

/// One word for machines and one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `CamelCase`, stable.
    pub word: &'static str,
    /// With what to do next.
    pub message: String,
}

impl Reason {
    fn new(word: &'static str, message: impl Into<String>) -> Self {
        Self { word, message: message.into() }
    }
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Foreign => Self::Blocked(Reason::new(
                FOREIGN,
                "a Secret of this name exists and is not ours; delete or rename it, rename this SealedSecret, or have its owner set the \
                 label bulla.dev/secret to adopt (or to merge, for creationPolicy Merge)",
            )),
            Stop::ConsentRemoved => Self::Blocked(Reason::new(
                CONSENT_REMOVED,
                "the label bulla.dev/secret of the Secret no longer lets this SealedSecret write it: its data stays as it is; set the \
                 label again, or delete this SealedSecret with --cascade=orphan, without which the Secret goes too",
            )),
            Stop::NoTarget => Self::Stalled(Reason::new(
                NO_TARGET,
                "creationPolicy Merge writes into a Secret that is there, and there is none of this name; its owner makes it, with the \
                 label bulla.dev/secret: merge and the annotation bulla.dev/merge",
            )),
            Stop::BeingDeleted => {
                Self::Retrying(Reason::new("SecretBeingDeleted", "an earlier Secret of this name is still being deleted"))
            }
            Stop::Immutable => Self::Stalled(Reason::new(
                "SecretImmutable",
                "the Secret is immutable and this SealedSecret has changed; delete the Secret to have it made anew",
            )),
            Stop::ControllerNamespace => Self::Stalled(Reason::new(
                "ControllerNamespace",
                "SealedSecrets in the namespace of the private keys are refused; use another namespace",
            )),
        }
    }
}

impl Outcome {
    /// The whole is refused; the reason of the first item that did not open is told with it, since that is where people look first.
    #[must_use]
    pub fn refused(refusal: &Refusal, items: &[ItemReport], ring: &KeyRing) -> Self {
        let first = items.iter().find_map(|item| match &item.result {
            Err(ItemError::NotTried) | Ok(_) => None,
            Err(error) => Some(format!("; item {}: {error}{}", item.name, retired(error, ring).unwrap_or_default())),
        });
        let word = match refusal {
            Refusal::Spec(SpecError::Type) => "TypeNotAllowed",
            Refusal::Spec(SpecError::Template(..)) => "TemplateRefused",
            Refusal::KeyMissing { .. } => KEY_MISSING,
            Refusal::Items { .. } => "ItemsRefused",
            _ => "SpecRefused",
        };
        Self::Stalled(Reason::new(word, format!("{refusal}{}", first.unwrap_or_default())))
    }
}

/// That a key which is not here is one of this cluster's, if it is.
fn retired(error: &ItemError, ring: &KeyRing) -> Option<String> {
    let ItemError::Sealed(SealedError::UnknownKey(ids)) = error else { return None };
    let id = ids.iter().find(|id| ring.knows(id))?;
    Some(format!("; {id} is a key of this cluster that is Retired, or whose private key is gone: kubectl get sealingkeys"))
}

impl Outcome {
    /// The owner of the Secret names only some of the items; those were written.
    #[must_use]
    pub fn not_consented(items: &[String]) -> Self {
        let first = items.first().map_or("", String::as_str);
        let message = format!(
            "{} of the items (such as {first}) are not named by the Secret's annotation bulla.dev/merge, and were not written",
            items.len()
        );
        Self::Stalled(Reason::new(NOT_CONSENTED, message))
    }

    /// `spec.suspend` is set.
    #[must_use]
    pub fn suspended() -> Self {
        Self::Suspended(Reason::new("Suspended", "spec.suspend is true: the Secret is left as it is"))
    }

    /// What stands at `path` has another shape than ours. What stands there is not told: it may be anything.
    #[must_use]
    pub fn malformed(path: &str) -> Self {
        // Its parts are the names of fields and items, and how long those are is decided by whoever wrote them.
        let path: String = path.chars().take(300).collect();
        Self::Stalled(Reason::new(
            MALFORMED,
            format!("{path} is not as this controller knows it: correct it, or bring definitions and controller to one version"),
        ))
    }

    /// A write or read failed. Only the code is told: the API server's own words may depend on a value.
    #[must_use]
    pub fn from_api(error: ApiError) -> Self {
        match error {
            ApiError::Invalid => Self::Blocked(Reason::new(
                "SecretInvalid",
                "the API server refuses the Secret (422): its type or immutability cannot change in place, the content does not fit \
                 the type, or an admission policy is against it; delete the Secret to have it made anew, or correct the SealedSecret",
            )),
            ApiError::Forbidden => Self::Blocked(Reason::new(
                "Forbidden",
                "the controller may not write this Secret (403): its RBAC, an admission policy or a quota stops it",
            )),
            ApiError::Terminating => Self::Retrying(Reason::new("NamespaceTerminating", "the namespace is being deleted")),
            error if error.is_transient() => Self::Retrying(Reason::new("ApiServer", error.to_string())),
            error => Self::Blocked(Reason::new("ApiServer", error.to_string())),
        }
    }

    /// Whether a Secret of somebody else, or none, stops the write whatever the values are.
    #[must_use]
    pub fn is_in_the_way(&self) -> bool {
        [FOREIGN, CONSENT_REMOVED, NO_TARGET].contains(&self.word())
    }

    /// `Ready`, or why not, in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ready(_) => "Ready",
            Self::Stalled(reason) | Self::Blocked(reason) | Self::Retrying(reason) | Self::Suspended(reason) => reason.word,
        }
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Ready(_) => "the Secret is up to date",
            Self::Stalled(reason) | Self::Blocked(reason) | Self::Retrying(reason) | Self::Suspended(reason) => &reason.message,
        }
    }
}

/// The whole status after `outcome` at `generation`.
#[must_use]
pub fn status(
    before: &SealedSecretStatus,
    outcome: &Outcome,
    items: &[ItemReport],
    ring: &KeyRing,
    generation: i64,
    now: Timestamp,
) -> SealedSecretStatus {
    let condition = |type_: &str, status: bool| {
        Condition::new(&before.conditions, type_, status, (outcome.word(), outcome.message()), generation, now)
    };
    let mut applied = before.applied.clone();
    let conditions = match outcome {
        Outcome::Ready(now_applied) => {
            applied = Some(now_applied.clone());
            vec![condition("Ready", true)]
        }
        // What was made before still serves.
        Outcome::Suspended(_) if applied.is_some() => vec![condition("Ready", true)],
        Outcome::Stalled(_) | Outcome::Blocked(_) | Outcome::Suspended(_) => {
            vec![condition("Ready", false), condition("Stalled", true)]
        }
        Outcome::Retrying(_) => vec![condition("Ready", false), condition("Reconciling", true)],
    };
    // Of an object that cannot be read, what was known still counts for the keys that it used.
    let items = match outcome.word() {
        MALFORMED => before.items.clone(),
        _ => items.iter().map(|report| item(report, ring)).collect(),
    };
    flag(SealedSecretStatus { observed_generation: Some(generation), conditions, items, applied }, before, ring, generation, now)
}

fn item(report: &ItemReport, ring: &KeyRing) -> ItemStatus {
    let state = match &report.result {
        Ok(_) => ItemState::Opened,
        Err(ItemError::Sealed(SealedError::UnknownKey(_))) => ItemState::KeyMissing,
        Err(ItemError::NotTried) => ItemState::NotTried,
        Err(_) => ItemState::Refused,
    };
    let binding = report.binding.as_ref();
    ItemStatus {
        name: report.name.clone(),
        state,
        message: report.result.as_ref().err().map(ToString::to_string),
        scope: binding.map(|binding| binding.scope.kind().to_string()),
        key_id: report.result.as_ref().ok().map(ToString::to_string),
        // Only keys of this cluster: whoever writes a value may name any.
        sealed_to: match (&report.result, binding) {
            (Err(_), Some(binding)) => binding.keys.iter().filter(|id| ring.knows(id)).map(ToString::to_string).collect(),
            _ => Vec::new(),
        },
        sealed: binding.map(|binding| time_text(&binding.sealed)),
        rotate_by: binding.and_then(|binding| binding.rotate_by).map(|date| date.to_string()),
    }
}

/// Whether the status of an object says so already, of this very generation.
#[must_use]
pub fn says(head: &SealedHead, reason: &Reason) -> bool {
    head.status.observed_generation == head.metadata.generation
        && Condition::find(&head.status.conditions, "Ready").is_some_and(|condition| condition.reason == reason.word)
}

/// `status` with the conditions that some values stand under a compromised key or are due, or without them. The first is cleared by new values only: the time of a
/// value's sealing stays whatever key it is moved to, so `rotate-by` reminds of it from then on.
#[must_use]
pub fn reflag(status: &SealedSecretStatus, ring: &KeyRing, generation: i64, now: Timestamp) -> SealedSecretStatus {
    flag(status.clone(), status, ring, generation, now)
}

fn flag(
    mut flagged: SealedSecretStatus,
    before: &SealedSecretStatus,
    ring: &KeyRing,
    generation: i64,
    now: Timestamp,
) -> SealedSecretStatus {
    let items: Vec<RememberedItem> = flagged.items.iter().map(RememberedItem::from).collect();
    for (type_, message) in [KEY_COMPROMISED, ROTATION_DUE].into_iter().zip(flags(&items, ring, now)) {
        flagged.conditions.retain(|condition| condition.r#type != type_);
        if let Some(message) = message {
            let reason = (type_, message.as_str());
            flagged.conditions.push(Condition::new(&before.conditions, type_, true, reason, generation, now));
        }
    }
    flagged
}

/// The messages of the conditions `KeyCompromised` and `RotationDue`, where there is something to tell.
#[must_use]
pub fn flags(items: &[RememberedItem], ring: &KeyRing, now: Timestamp) -> [Option<String>; 2] {
    let all = items.len();
    let compromised = items.iter().filter(|item| item.keys().any(|id| ring.compromised_at(id).is_some())).count();
    let due: Vec<Timestamp> = items.iter().filter_map(|item| item.rotate_by).filter(|due| *due <= now).collect();
    [
        (compromised > 0).then(|| {
            format!(
                "{compromised} of {all} items are sealed to a compromised key; change the values themselves: whoever has the key has \
                 them"
            )
        }),
        due.iter().min().map(|first| {
            format!("{} of {all} items are due for a new value, the first since {}", due.len(), first.strftime("%Y-%m-%d"))
        }),
    ]
}

/// How long until the next of these values becomes due.
#[must_use]
pub fn next_due(items: &[RememberedItem], now: Timestamp) -> Option<std::time::Duration> {
    let next = items.iter().filter_map(|item| item.rotate_by).filter(|due| *due > now).min()?;
    next.duration_since(now).try_into().ok()
}

/// Whether an item that opened once would be refused now, since it was sealed to a key after that had got into other hands.
#[must_use]
pub fn is_refused_now(items: &[RememberedItem], ring: &KeyRing) -> bool {
    items.iter().any(|item| {
        let at = item.opened_by.and_then(|id| ring.compromised_at(&id));
        at.zip(item.sealed).is_some_and(|(at, sealed)| sealed > at)
    })
}

#[cfg(test)]
mod tests {
    use bulla_keys::ring::Duty;
    use bulla_shared::age::{Algorithm, Identity};
    use bulla_shared::binding::KeyId;

    use super::*;

    #[test]
    fn a_compromised_key_is_flagged_and_later_values_are_refused() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let identity = Identity::generate(Algorithm::X25519);
        let id = identity.recipient().fingerprint().id().to_string();
        let mut ring = KeyRing::default();
        ring.insert(identity, time("2026-01-01T00:00:00Z"), Duty::Active).unwrap();
        let item = |sealed: &str| ItemStatus {
            name: "a".to_owned(),
            state: ItemState::Opened,
            message: None,
            scope: None,
            key_id: Some(id.clone()),
            sealed_to: Vec::new(),
            sealed: Some(sealed.to_owned()),
            rotate_by: None,
        };
        let before = SealedSecretStatus { items: vec![item("2026-02-01T00:00:00Z")], ..SealedSecretStatus::default() };
        let now = time("2026-03-01T00:00:00Z");
        assert_eq!(reflag(&before, &ring, 1, now), before);
        ring.compromise(&id.parse().unwrap(), time("2026-02-02T00:00:00Z"));
        let flagged = reflag(&before, &ring, 1, now);
        assert_eq!(flagged.conditions[0].r#type, KEY_COMPROMISED);
        assert!(flagged.conditions[0].message.starts_with("1 of 1 items"));
        assert_eq!(reflag(&flagged, &ring, 1, time("2026-04-01T00:00:00Z")), flagged);
        let is_refused = |item: &ItemStatus| is_refused_now(&[item.into()], &ring);
        assert!(!is_refused(&before.items[0]));
        assert!(is_refused(&item("2026-02-03T00:00:00Z")));
        assert_eq!(reflag(&flagged, &KeyRing::default(), 1, now), before, "a key that is not here flags nothing");
    }

    #[test]
    fn a_key_of_this_cluster_that_is_not_here_is_called_so() {
        let [ours, other] = ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"].map(|id| id.parse::<KeyId>().unwrap());
        let mut ring = KeyRing::default();
        ring.insert_absent(ours);
        let message = |ids: &[KeyId]| {
            let result = Err(ItemError::Sealed(SealedError::UnknownKey(ids.to_vec())));
            let items = [ItemReport { name: "a".to_owned(), binding: None, result }];
            Outcome::refused(&Refusal::KeyMissing { missing: 1, all: 1 }, &items, &ring).message().to_owned()
        };
        assert!(message(&[other, ours]).contains("; aaaaaaaaaaaaaaaa is a key of this cluster that is Retired"));
        assert!(!message(&[other]).contains("Retired"));
    }

    #[test]
    fn the_page_has_every_reason() {
        let stops =
            [Stop::Foreign, Stop::ConsentRemoved, Stop::NoTarget, Stop::BeingDeleted, Stop::Immutable, Stop::ControllerNamespace];
        let refusals = [
            Refusal::Spec(SpecError::Type),
            Refusal::Spec(SpecError::ItemCount),
            Refusal::Items { failed: 1, all: 1 },
            Refusal::KeyMissing { missing: 1, all: 1 },
        ];
        let template = bulla_shared::template::Template::parse("{{").unwrap_err();
        let template = Refusal::Spec(SpecError::Template("a".parse().unwrap(), template));
        let errors = [ApiError::Invalid, ApiError::Forbidden, ApiError::Terminating, ApiError::Transport, ApiError::NotFound];
        let own = [
            Outcome::Ready(Applied::default()),
            Outcome::suspended(),
            Outcome::malformed("spec"),
            Outcome::not_consented(&["a".to_owned()]),
        ];
        let refused = refusals.iter().chain([&template]).map(|refusal| Outcome::refused(refusal, &[], &KeyRing::default()));
        let all = own.into_iter().chain(stops.map(Outcome::from)).chain(errors.map(Outcome::from_api)).chain(refused);
        let page = include_str!("../../docs/sealed-secret.md");
        for word in all.map(|outcome| outcome.word()).chain([KEY_COMPROMISED, ROTATION_DUE]) {
            let documented = page.lines().any(|line| line.starts_with("| `") && line.contains(&format!("`{word}`")));
            assert!(documented, "docs/sealed-secret.md has no {word}");
        }
    }

    #[test]
    fn conditions_are_what_kstatus_expects() {
        let now = |text: &str| text.parse().unwrap();
        let ready = Outcome::Ready(Applied { generation: 1, ..Applied::default() });
        let first = status(&SealedSecretStatus::default(), &ready, &[], &KeyRing::default(), 1, now("2026-11-23T06:50:00Z"));
        let words = |status: &SealedSecretStatus| {
            let conditions = status.conditions.iter();
            conditions.map(|c| format!("{}={} {} {}", c.r#type, c.status, c.reason, c.last_transition_time)).collect::<Vec<_>>()
        };
        assert_eq!(words(&first), ["Ready=True Ready 2026-11-23T06:50:00Z"]);
        assert_eq!(
            status(&first, &ready, &[], &KeyRing::default(), 1, now("2026-11-24T00:00:00Z")),
            first,
            "nothing to write when nothing changed"
        );
        let stalled = status(&first, &Stop::Foreign.into(), &[], &KeyRing::default(), 2, now("2026-11-25T00:00:00Z"));
        assert_eq!(
            words(&stalled),
            ["Ready=False ForeignSecret 2026-11-25T00:00:00Z", "Stalled=True ForeignSecret 2026-11-25T00:00:00Z"]
        );
        assert_eq!(stalled.applied, first.applied, "the Secret that was written is still there");
        let retrying = status(&stalled, &Stop::BeingDeleted.into(), &[], &KeyRing::default(), 2, now("2026-11-26T00:00:00Z"));
        assert_eq!(retrying.conditions[0].last_transition_time, "2026-11-25T00:00:00Z", "Ready was False before");
        assert_eq!(retrying.conditions[1].r#type, "Reconciling");
    }
}
