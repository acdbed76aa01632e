//! How long this node may serve without hearing from the store, and what happens when that is over.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Node;
use crate::secret::random_bytes;
use crate::store::{Card, NodeId, Store, StoreError};

/// The spans that the protocol is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    /// So long the others wait before they take this node for dead.
    pub(super) length: Duration,
    /// So long this node trusts its table after it began to renew: a tenth less, for clocks that do
    /// not run alike.
    pub(super) trust: Duration,
    /// How often it renews: four may fail in a row.
    pub(super) renewal: Duration,
}

/// How soon after the end of its trust a node cuts what is open: well within the tenth.
const LOOK: Duration = Duration::from_millis(20);

/// Where a node remembers what it was called, so that its successor can take its name off the list.
const REMEMBERED: &str = "node";

impl Lease {
    pub(super) fn of(max_staleness: Duration) -> Self {
        Self {
            length: max_staleness,
            trust: max_staleness * 9 / 10,
            renewal: (max_staleness / 5).min(Duration::from_secs(1)),
        }
    }
}

/// Who this process is. The one before it in the same folder, whose lock this one holds, is no more:
/// nobody needs to wait for it.
pub(super) async fn card(
    store: &Store,
    max_staleness: Duration,
    data_dir: &Path,
) -> Result<Card, StoreError> {
    let place = data_dir.join(REMEMBERED);
    let folder = this_folder(data_dir);
    let before = fs::read_to_string(&place).unwrap_or_default();
    if let Some((id, of)) = before.split_once(' ')
        && folder.as_deref() == Some(of)
    {
        store.forget_node(&NodeId(id.to_owned())).await?;
    }
    let id = URL_SAFE_NO_PAD.encode(random_bytes::<12>());
    let words = format!("{id} {}", folder.unwrap_or_default());
    if let Err(fault) = fs::write(&place, words) {
        tracing::warn!(%fault, "can't write {}: after a crash the others wait until the lease of this node has run out", place.display());
    }
    let name = rustix::system::uname();
    Ok(Card {
        id: NodeId(id),
        name: name.nodename().to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: store.clock().now(),
        lease: i64::try_from(max_staleness.as_millis()).unwrap_or(i64::MAX),
    })
}

/// This very folder, since this machine was started: a copy of it, with what is remembered there, belongs
/// to another node, whose lock says nothing about the one that it was copied from.
fn this_folder(data_dir: &Path) -> Option<String> {
    let start = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let lock = fs::metadata(data_dir.join("lock")).ok()?;
    Some(format!("{} {}:{}", start.trim(), lock.dev(), lock.ino()))
}

/// Cuts what is open when the table is no longer to be believed, until the node has left.
pub(super) async fn keep_watch_over_trust(node: Arc<Node>) {
    while !node.follow.has_begun() {
        let left = node.sessions.trusted_until().since(node.clock.now());
        let wait = left.clamp(LOOK, node.lease.renewal);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = node.follow.begun() => {}
        }
        if let Some(cut) = node.sessions.cut_what_is_untold().await {
            tracing::error!(
                exchanges = cut,
                "the store has not been heard from for too long: nobody who is signed in is served until it is"
            );
        }
    }
}
