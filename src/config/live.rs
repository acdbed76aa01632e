//! The configuration that is in force: swapped whole, so that nobody ever sees half of a new one.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Config;

/// What is in force. Cheap to clone; clones see the same.
#[derive(Debug, Clone)]
pub struct Live(Arc<ArcSwap<Config>>);

impl Live {
    /// In force from the beginning.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// What is in force now; for as long as it is held, it stays the same.
    pub fn now(&self) -> Arc<Config> {
        self.0.load_full()
    }

    /// Puts another one in force.
    pub fn replace(&self, config: Config) {
        self.0.store(Arc::new(config));
    }
}
