//! The work queue: each key once, never two workers on one key, news before the backlog, delayed retries, waiting workers woken.
//!
//! It holds each key at most once in a lane, so that it is never larger than the index of what there is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// So many pieces of news are handed out for each one of the backlog, which therefore gets on whatever floods in.
const NEWS_FIRST: u32 = 8;

/// How long a key may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Among many that are all looked at again: after a start, for a new key.
    Backlog,
    /// Somebody has just changed it, and may be watching.
    News,
}

/// A queue of keys. A key that is added while a worker has it is handed out again after that worker is done.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    news: VecDeque<K>,
    backlog: VecDeque<K>,
    /// Where each waiting key counts. One that has become news stands in the backlog too, and is passed over there.
    queued: HashMap<K, Lane>,
    /// How many pieces of news were handed out since the last one of the backlog.
    passed: u32,
    delayed: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Key and due time by ticket; a key has at most one ticket that counts, the earliest.
    tickets: HashMap<u64, K>,
    due: HashMap<K, (Instant, u64)>,
    working: HashSet<K>,
    again: HashMap<K, Lane>,
    next_ticket: u64,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        let state = State {
            news: VecDeque::new(),
            backlog: VecDeque::new(),
            queued: HashMap::new(),
            passed: 0,
            delayed: BinaryHeap::new(),
            tickets: HashMap::new(),
            due: HashMap::new(),
            working: HashSet::new(),
            again: HashMap::new(),
            next_ticket: 0,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Adds a key now.
    pub fn add(&self, key: K, lane: Lane) {
        let mut state = self.lock();
        if let Some((_, ticket)) = state.due.remove(&key) {
            state.tickets.remove(&ticket);
        }
        state.make_ready(key, lane);
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
        state.shed();
        drop(state);
        self.changed.notify_one();
    }

    /// How many keys wait for a worker.
    pub fn len(&self) -> usize {
        self.lock().queued.len()
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
        if let Some((key, lane)) = state.again.remove_entry(key) {
            state.make_ready(key, lane);
            drop(state);
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<K>> {
        self.state.lock().expect("no code panics while it holds the queue")
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    /// Forgets tickets that count no more behind one that is far off, when they are most of all.
    fn shed(&mut self) {
        if self.delayed.len() > 2 * self.tickets.len() + 64 {
            let tickets = &self.tickets;
            self.delayed.retain(|Reverse((_, ticket))| tickets.contains_key(ticket));
        }
    }

    fn make_ready(&mut self, key: K, lane: Lane) {
        if self.working.contains(&key) {
            let again = self.again.entry(key).or_insert(lane);
            *again = lane.max(*again);
            return;
        }
        if self.queued.get(&key).is_some_and(|waits| *waits >= lane) {
            return;
        }
        self.queued.insert(key.clone(), lane);
        match lane {
            Lane::News => self.news.push_back(key),
            Lane::Backlog => self.backlog.push_back(key),
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
                self.make_ready(key, Lane::Backlog);
            }
        }
        let Some(key) = self.pop() else {
            return (None, self.delayed.peek().map(|Reverse((due, _))| *due));
        };
        self.queued.remove(&key);
        self.working.insert(key.clone());
        (Some(key), None)
    }

    fn pop(&mut self) -> Option<K> {
        if self.passed < NEWS_FIRST
            && let Some(key) = self.news.pop_front()
        {
            self.passed += 1;
            return Some(key);
        }
        self.passed = 0;
        while let Some(key) = self.backlog.pop_front() {
            if self.queued.get(&key) == Some(&Lane::Backlog) {
                return Some(key);
            }
        }
        self.news.pop_front()
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
            queue.add(key, Lane::News);
        }
        assert_eq!((soon(&queue).await, soon(&queue).await, soon(&queue).await), (Some(1), Some(2), None));
        queue.add(1, Lane::News);
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
        queue.add(1, Lane::News);
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
        queue.add(7, Lane::News);
        queue.add_after(8, Duration::from_secs(5));
        assert_eq!(worker.await.unwrap(), [7, 8]);
    }

    #[tokio::test(start_paused = true)]
    async fn news_comes_first_and_the_backlog_gets_on() {
        let queue = Queue::default();
        for key in 0..100 {
            queue.add(key, Lane::Backlog);
        }
        for key in (50..60).chain(200..220) {
            queue.add(key, Lane::News);
        }
        assert_eq!(queue.len(), 120, "what was in the backlog counts once");
        let mut order = Vec::new();
        while let Some(key) = soon(&queue).await {
            queue.done(&key);
            order.push(key);
        }
        assert_eq!(order[..10], [50, 51, 52, 53, 54, 55, 56, 57, 0, 58]);
        assert_eq!(order.len(), 120);
        assert!(order.iter().position(|key| *key == 219) < Some(35));
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_changed_while_it_was_worked_on_is_news_again() {
        let queue = Queue::default();
        queue.add(1, Lane::Backlog);
        assert_eq!(soon(&queue).await, Some(1));
        queue.add(2, Lane::Backlog);
        queue.add(1, Lane::News);
        queue.add(1, Lane::Backlog);
        queue.done(&1);
        assert_eq!((soon(&queue).await, soon(&queue).await), (Some(1), Some(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn tickets_that_count_no_more_are_forgotten() {
        let queue = Queue::default();
        queue.add_after(0, Duration::from_hours(24));
        for _ in 0..10_000 {
            queue.add_after(1, Duration::from_hours(25));
            queue.add(1, Lane::News);
            assert_eq!(queue.next().await, 1);
            queue.done(&1);
        }
        assert!(queue.lock().delayed.len() < 100);
        assert_eq!(queue.next().await, 0);
    }
}
