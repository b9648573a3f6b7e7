//! The work queue: each key once, never two workers on one key, delayed retries, waiting workers woken.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A queue of keys. A key that is added while a worker has it is handed out again after that worker is done.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    queued: HashSet<K>,
    delayed: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Key and due time by ticket; a key has at most one ticket that counts, the earliest.
    tickets: HashMap<u64, K>,
    due: HashMap<K, (Instant, u64)>,
    working: HashSet<K>,
    again: HashSet<K>,
    next_ticket: u64,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        let state = State {
            ready: VecDeque::new(),
            queued: HashSet::new(),
            delayed: BinaryHeap::new(),
            tickets: HashMap::new(),
            due: HashMap::new(),
            working: HashSet::new(),
            again: HashSet::new(),
            next_ticket: 0,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Adds a key now.
    pub fn add(&self, key: K) {
        let mut state = self.lock();
        if let Some((_, ticket)) = state.due.remove(&key) {
            state.tickets.remove(&ticket);
        }
        state.make_ready(key);
        drop(state);
        self.changed.notify_one();
    }

    /// Adds a key after `delay`, unless it is due earlier already.
    pub fn add_after(&self, key: K, delay: Duration) {
        let due = Instant::now() + delay;
        let mut state = self.lock();
        match state.due.get(&key) {
            Some((earlier, _)) if *earlier <= due => return,
            Some((_, ticket)) => {
                let ticket = *ticket;
                state.tickets.remove(&ticket);
            }
            None => {}
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.due.insert(key.clone(), (due, ticket));
        state.tickets.insert(ticket, key);
        state.delayed.push(Reverse((due, ticket)));
        drop(state);
        self.changed.notify_one();
    }

    /// How many keys wait for a worker.
    pub fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key, as soon as there is one. Give it back with [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let changed = self.changed.notified();
            let (key, wake) = self.lock().take(Instant::now());
            if let Some(key) = key {
                // Another worker may sleep although there is more: one notification wakes one.
                self.changed.notify_one();
                return key;
            }
            match wake {
                Some(at) => drop(tokio::time::timeout_at(at, changed).await),
                None => changed.await,
            }
        }
    }

    /// Ends the work on a key.
    pub fn done(&self, key: &K) {
        let mut state = self.lock();
        state.working.remove(key);
        if let Some(key) = state.again.take(key) {
            state.make_ready(key);
            drop(state);
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<K>> {
        self.state.lock().expect("no code panics while it holds the queue")
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn make_ready(&mut self, key: K) {
        if self.working.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    /// A ready key, or when the next delayed one is due.
    fn take(&mut self, now: Instant) -> (Option<K>, Option<Instant>) {
        while let Some(Reverse((due, ticket))) = self.delayed.peek().copied() {
            if due > now && self.tickets.contains_key(&ticket) {
                break;
            }
            self.delayed.pop();
            if let Some(key) = self.tickets.remove(&ticket) {
                self.due.remove(&key);
                self.make_ready(key);
            }
        }
        let Some(key) = self.ready.pop_front() else {
            return (None, self.delayed.peek().map(|Reverse((due, _))| *due));
        };
        self.queued.remove(&key);
        self.working.insert(key.clone());
        (Some(key), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn soon<K: Clone + Eq + Hash>(queue: &Queue<K>) -> Option<K> {
        tokio::time::timeout(Duration::from_millis(1), queue.next()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_once_and_never_to_two_workers() {
        let queue = Queue::default();
        for key in [1, 2, 1] {
            queue.add(key);
        }
        assert_eq!((soon(&queue).await, soon(&queue).await, soon(&queue).await), (Some(1), Some(2), None));
        queue.add(1);
        assert_eq!(soon(&queue).await, None, "1 is being worked on");
        queue.done(&1);
        assert_eq!(soon(&queue).await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_key_comes_when_due_and_once() {
        let queue = Queue::default();
        queue.add_after(1, Duration::from_mins(1));
        queue.add_after(1, Duration::from_secs(30));
        queue.add_after(1, Duration::from_secs(90));
        let start = Instant::now();
        assert_eq!(queue.next().await, 1);
        assert_eq!(start.elapsed().as_secs(), 30);
        queue.done(&1);
        assert!(tokio::time::timeout(Duration::from_mins(5), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn adding_now_replaces_the_delay() {
        let queue = Queue::default();
        queue.add_after(1, Duration::from_mins(1));
        queue.add(1);
        assert_eq!(soon(&queue).await, Some(1));
        queue.done(&1);
        assert!(tokio::time::timeout(Duration::from_mins(5), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeping_worker_wakes() {
        let queue = std::sync::Arc::new(Queue::default());
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { [queue.next().await, queue.next().await] }
        });
        tokio::task::yield_now().await;
        queue.add(7);
        queue.add_after(8, Duration::from_secs(5));
        assert_eq!(worker.await.unwrap(), [7, 8]);
    }
}
