//! How often one Secret is repaired: at once, but ever more slowly if somebody changes it again and again.

use std::collections::HashMap;
use std::sync::Mutex;
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
    /// Counts a repair that may be made now, or says how long it has to wait.
    pub fn may(&self, key: &Key) -> Result<(), Duration> {
        let mut repairs = self.0.lock().expect("no code panics while it counts");
        let now = Instant::now();
        repairs.retain(|_, (last, _)| now.duration_since(*last) < FORGOTTEN);
        let (last, count) = repairs.get(key).copied().unwrap_or((now, 0));
        let delay =
            if count == 0 { Duration::ZERO } else { FIRST_DELAY.saturating_mul(1 << (count - 1).min(16)).min(LAST_DELAY) };
        match delay.checked_sub(now.duration_since(last)) {
            Some(left) if !left.is_zero() => Err(left),
            _ => {
                repairs.insert(key.clone(), (now, count.saturating_add(1)));
                Ok(())
            }
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &Key) {
        self.0.lock().expect("no code panics while it counts").remove(key);
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
            while let Err(left) = repairs.may(&key) {
                waited.push(left.as_secs());
                tokio::time::advance(left).await;
            }
        }
        assert_eq!(waited, [1, 2, 4, 8]);
        assert_eq!(repairs.may(&Key { name: "c".to_owned(), ..key.clone() }), Ok(()), "others are not held up");
        tokio::time::advance(FORGOTTEN).await;
        assert_eq!(repairs.may(&key), Ok(()));
    }
}
