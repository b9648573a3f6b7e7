//! The Lease that elects the replica that writes.
//!
//! A Lease is no fence: a replica that was paused may send one more request after another has taken over. So nothing relies on it for
//! being right, only for being alone; docs/high-availability.md says what is guaranteed. It is read and written through a client of its
//! own, whose requests the gate of [`crate::client`] never holds up.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::api::{self, ApiError};
use crate::audit::{self, Checkpoint, Trail};

/// Name of the Lease in the controller's namespace.
pub const NAME: &str = "bulla-controller";

/// Annotation with the last line of the audit trail, so that a trail that was cut short shows.
pub const CHECKPOINT_ANNOTATION: &str = "bulla.dev/audit-checkpoint";

/// Until when this process may write.
#[derive(Debug, Default)]
pub struct Leadership(Mutex<Option<Instant>>);

impl Leadership {
    /// Whether a write may be sent now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.deadline().is_some()
    }

    /// Until when, if it may be sent now.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lock().filter(|deadline| Instant::now() < *deadline)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().expect("no code panics while it holds the deadline")
    }

    /// Extends it after a write that was sent at `sent`: a standby counts from when it saw that write, which is later, and for longer.
    pub(crate) fn extend(&self, sent: Instant, duration: Duration) {
        *self.lock() = Some(sent + duration * 2 / 3);
    }

    fn end(&self) {
        *self.lock() = None;
    }
}

/// What a replica knows that waits for the Lease.
#[derive(Default)]
struct Standby {
    /// Which version of it was seen, and since when.
    seen: Option<(Option<String>, Instant)>,
    /// The holder that the log has named.
    told: Option<String>,
    /// The chain that it has begun, and what that goes on after.
    begun: Option<(Option<Checkpoint>, Checkpoint)>,
}

/// One replica's part in the election.
pub struct Election {
    api: Api<Lease>,
    identity: String,
    duration: Duration,
    leadership: Arc<Leadership>,
    trail: Option<Arc<Trail>>,
}

impl Election {
    /// Takes part with `client`, for leases that last `duration` from their last renewal.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        duration: Duration,
        leadership: Arc<Leadership>,
        trail: Option<Arc<Trail>>,
    ) -> Self {
        Self { api: Api::namespaced(client, namespace), identity: identity(), duration, leadership, trail }
    }

    /// Waits until the Lease is ours, and begins a chain of the audit trail with it.
    ///
    /// # RBAC: in the own namespace `leases: get, create, update`
    pub async fn acquire(&self) -> Lease {
        let mut standby = Standby::default();
        let mut failed = None;
        loop {
            let error = match self.try_acquire(&mut standby).await {
                Ok(Some(held)) => return held,
                Ok(None) => None,
                Err(error) => Some(error),
            };
            // Once, and not with every try.
            if let Some(error) = error.filter(|_| error != failed) {
                match error {
                    ApiError::Conflict => info!("another replica was faster"),
                    error => warn!(%error, "the lease cannot be read or written, will be tried again"),
                }
            }
            failed = error;
            tokio::time::sleep(self.pause()).await;
        }
    }

    async fn try_acquire(&self, standby: &mut Standby) -> Result<Option<Lease>, ApiError> {
        let sent = Instant::now();
        let Some(lease) = self.in_time(self.api.get_opt(NAME)).await? else {
            let lease = Lease { metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() }, spec: None };
            return self.take(lease, sent, standby).await.map(Some);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        // A clock of ours alone: the times in the Lease are those of another machine.
        let version = lease.metadata.resource_version.clone();
        let since = standby.seen.take().filter(|(seen, _)| *seen == version).map_or(sent, |(_, since)| since);
        standby.seen = Some((version, since));
        let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        if let Some(holder) = holder
            // Our own, if the answer to taking it was lost.
            && holder != self.identity
            && since.elapsed() < lasts.unwrap_or(self.duration)
        {
            if standby.told.as_ref() != Some(&holder) {
                info!(holder, "another replica holds the lease, standing by");
                standby.told = Some(holder);
            }
            return Ok(None);
        }
        self.take(lease, sent, standby).await.map(Some)
    }

    /// The Lease names the first line of the new chain, and that the last one that the Lease named: no chain can go unnoticed.
    async fn take(&self, lease: Lease, sent: Instant, standby: &mut Standby) -> Result<Lease, ApiError> {
        let named = lease.metadata.annotations.as_ref().and_then(|all| all.get(CHECKPOINT_ANNOTATION));
        let before: Option<Checkpoint> = named.and_then(|text| {
            text.parse()
                .inspect_err(|_| error!("the Lease's {CHECKPOINT_ANNOTATION} is no checkpoint: somebody has changed it"))
                .ok()
        });
        // One chain, however often the Lease cannot be written.
        if standby.begun.as_ref().is_none_or(|(after, _)| *after != before) {
            let begun = self.trail.as_ref().map(|trail| trail.begin(&self.identity, before.as_ref())).transpose()?;
            standby.begun = begun.map(|begun| (before, begun));
        }
        let checkpoint = standby.begun.as_ref().map(|(_, begun)| begun.clone());
        let taken = self.write(lease, true, checkpoint).await?;
        self.leadership.extend(sent, self.duration);
        info!("this replica holds the lease");
        Ok(taken)
    }

    /// Renews the Lease until it is lost.
    pub async fn keep(&self, mut lease: Lease) {
        loop {
            tokio::time::sleep(self.pause()).await;
            let sent = Instant::now();
            match self.write(lease.clone(), false, self.checkpoint()).await {
                Ok(renewed) => {
                    self.leadership.extend(sent, self.duration);
                    lease = renewed;
                }
                Err(ApiError::Conflict | ApiError::NotFound) => match self.in_time(self.api.get_opt(NAME)).await {
                    Ok(Some(now)) if self.is_held(&now) => lease = now,
                    Ok(Some(_)) => break,
                    // Somebody has deleted it; the first to make it anew has it.
                    Ok(None) => lease.metadata.resource_version = None,
                    Err(error) => warn!(%error, "the lease cannot be read, will be tried again"),
                },
                Err(error) => warn!(%error, "the lease was not renewed, will be tried again"),
            }
            if !self.leadership.holds() {
                break;
            }
        }
        self.leadership.end();
    }

    /// Gives the Lease up, so that nobody has to wait for its end.
    pub async fn release(&self) {
        self.leadership.end();
        let released = async {
            let Some(mut lease) = self.in_time(self.api.get_opt(NAME)).await? else { return Ok(()) };
            if !self.is_held(&lease) {
                return Ok(());
            }
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = None;
            }
            annotate(&mut lease, self.checkpoint());
            self.in_time(self.api.replace(NAME, &PostParams::default(), &lease)).await.map(drop)
        };
        if let Err(error) = released.await {
            warn!(%error, "the lease was not given up; a standby waits for its end");
        }
    }

    fn is_held(&self, lease: &Lease) -> bool {
        lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) == Some(&self.identity)
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        self.trail.as_ref().and_then(|trail| trail.checkpoint())
    }

    /// Writes the Lease as ours.
    async fn write(&self, mut lease: Lease, taken: bool, checkpoint: Option<Checkpoint>) -> Result<Lease, ApiError> {
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.take().unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            renew_time: Some(now.clone()),
            acquire_time: if taken { Some(now) } else { before.acquire_time },
            lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(i32::from(taken))),
            ..before
        });
        annotate(&mut lease, checkpoint);
        if lease.metadata.resource_version.is_some() {
            self.in_time(self.api.replace(NAME, &PostParams::default(), &lease)).await
        } else {
            self.in_time(self.api.create(&PostParams::default(), &lease)).await
        }
    }

    /// Between two looks of a standby, and two renewals of the holder.
    fn pause(&self) -> Duration {
        (self.duration / 10).min(Duration::from_secs(1))
    }

    async fn in_time<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
        // A request that hangs must leave time for another before the lease ends.
        let longest = self.duration / 5;
        tokio::time::timeout(longest, api::in_time(request)).await.map_err(|_| ApiError::Transport)?
    }
}

fn annotate(lease: &mut Lease, checkpoint: Option<Checkpoint>) {
    if let Some(checkpoint) = checkpoint {
        lease.metadata.annotations.get_or_insert_default().insert(CHECKPOINT_ANNOTATION.to_owned(), checkpoint.to_string());
    }
}

/// Another one for each process: a container that starts again is not the one that was paused.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "bulla-controller".to_owned());
    format!("{host}_{}", audit::random_name())
}
