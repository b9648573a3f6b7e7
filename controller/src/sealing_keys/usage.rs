//! How much each key opens, counted from what the statuses of `SealedSecret`s say. Opens nothing and asks nobody.

use std::collections::{HashMap, HashSet};

use bulla_shared::binding::KeyId;
use bulla_shared::resources::sealing_key::KeyUsage;

use crate::index::Remembered;

/// Items and objects by key id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    by_key: HashMap<KeyId, KeyUsage>,
    /// Every object has been looked at as it is now.
    pub settled: bool,
}

impl Usage {
    /// Counts. An item counts for the key that opened it; one that was not opened counts for every key that it names.
    /// Only ids of keys that are `known` count: whoever writes a value may name any.
    pub fn count<'a>(heads: impl Iterator<Item = &'a Remembered>, known: impl Fn(&KeyId) -> bool) -> Self {
        let mut usage = Self { by_key: HashMap::new(), settled: true };
        for head in heads {
            usage.settled &= head.is_deleted || head.observed_generation == head.generation;
            let mut named = HashSet::new();
            for item in &head.items {
                for id in item.keys().filter(|id| known(id)) {
                    named.insert(*id);
                    usage.by_key.entry(*id).or_default().items += 1;
                }
            }
            for id in named {
                usage.by_key.entry(id).or_default().secrets += 1;
            }
        }
        usage
    }

    /// What to publish about a key. While some object has not been looked at, a number only grows, and one that is not known stays so:
    /// whoever retires a key relies on it.
    #[must_use]
    pub fn of(&self, id: &KeyId, before: Option<KeyUsage>) -> Option<KeyUsage> {
        let now = self.by_key.get(id).copied().unwrap_or_default();
        if self.settled {
            return Some(now);
        }
        before.map(|before| KeyUsage { items: before.items.max(now.items), secrets: before.secrets.max(now.secrets) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::SealedHead;

    fn head(observed: i64, items: &str) -> Remembered {
        let text = format!(r#"{{"metadata":{{"generation":2}},"status":{{"observedGeneration":{observed},"items":{items}}}}}"#);
        let head: SealedHead = serde_json::from_str(&text).unwrap();
        assert!(!head.status.items.is_empty() || items == "[]");
        Remembered::from(&head)
    }

    fn id(digit: char) -> KeyId {
        digit.to_string().repeat(16).parse().unwrap()
    }

    fn items(text: &str) -> String {
        ['1', '2', '3', '9']
            .iter()
            .fold(text.to_owned(), |text, digit| text.replace(&format!("k{digit}"), &id(*digit).to_string()))
    }

    #[test]
    fn counts_who_opened_and_hints_of_the_rest() {
        let heads = [
            head(2, &items(r#"[{"name":"a","state":"Opened","keyId":"k1"},{"name":"b","state":"Opened","keyId":"k1"}]"#)),
            head(
                2,
                &items(
                    r#"[{"name":"a","state":"Opened","keyId":"k2"},{"name":"b","state":"KeyMissing","sealedTo":["k1","k3","k9"]}]"#,
                ),
            ),
        ];
        let usage = Usage::count(heads.iter(), |key| *key != id('9'));
        assert_eq!(usage.of(&id('1'), None), Some(KeyUsage { items: 3, secrets: 2 }));
        assert_eq!(usage.of(&id('3'), None), Some(KeyUsage { items: 1, secrets: 1 }));
        assert_eq!(usage.of(&id('4'), None), Some(KeyUsage::default()));
        assert_eq!(usage.by_key.len(), 3, "what nobody knows takes no room");
    }

    #[test]
    fn falls_only_when_everything_has_been_looked_at() {
        let before = Some(KeyUsage { items: 5, secrets: 1 });
        let heads = [head(1, &items(r#"[{"name":"a","state":"Opened","keyId":"k1"}]"#)), head(2, "[]")];
        let mut unsettled = Usage::count(heads.iter(), |_| true);
        assert_eq!(unsettled.of(&id('1'), before), before);
        assert_eq!(unsettled.of(&id('1'), None), None, "not known stays not known");
        assert_eq!(unsettled.of(&id('1'), Some(KeyUsage::default())), Some(KeyUsage { items: 1, secrets: 1 }));
        unsettled.settled = true;
        assert_eq!(unsettled.of(&id('1'), before), Some(KeyUsage { items: 1, secrets: 1 }));
    }
}
