//! How often one Secret is repaired: at once, but ever more slowly if somebody changes it again and again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::index::Key;

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_mins(5);

/// After so long without a repair the next one is at once again.
const FORGOTTEN: Duration = Duration::from_mins(10);

/// When what was repaired.
#[derive(Debug, Default)]
pub struct Repairs(Mutex<HashMap<Key, (Instant, u32)>>);

impl Repairs {
    /// How long the next repair has to wait, if it has to.
    pub fn wait(&self, key: &Key) -> Option<Duration> {
        let (last, count) = self.lock().get(key).copied()?;
        let since = last.elapsed();
        let delay = FIRST_DELAY.saturating_mul(1 << (count - 1).min(16)).min(LAST_DELAY);
        delay.checked_sub(since).filter(|left| !left.is_zero() && since < FORGOTTEN)
    }

    /// Counts a repair.
    pub fn count(&self, key: &Key) {
        let mut repairs = self.lock();
        repairs.retain(|_, (last, _)| last.elapsed() < FORGOTTEN);
        let count = repairs.get(key).map_or(0, |(_, count)| *count);
        repairs.insert(key.clone(), (Instant::now(), count.saturating_add(1)));
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, (Instant, u32)>> {
        self.0.lock().expect("no code panics while it counts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_at_once_then_ever_more_slowly() {
        let repairs = Repairs::default();
        let key = Key { namespace: "a".to_owned(), name: "b".to_owned() };
        let mut waited = Vec::new();
        for _ in 0..5 {
            if let Some(left) = repairs.wait(&key) {
                waited.push(left.as_secs());
                tokio::time::advance(left).await;
            }
            assert_eq!(repairs.wait(&key), None);
            repairs.count(&key);
        }
        assert_eq!(waited, [1, 2, 4, 8]);
        assert_eq!(repairs.wait(&Key { name: "c".to_owned(), ..key.clone() }), None, "others are not held up");
        tokio::time::advance(FORGOTTEN).await;
        repairs.count(&key);
        assert_eq!(repairs.wait(&key), Some(FIRST_DELAY), "it begins anew");
    }
}
