//! The names of devices, each kept once: a million sessions come from a handful of browsers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The names that are shared.
#[derive(Debug, Default)]
pub(super) struct Devices(Mutex<HashSet<Arc<str>>>);

/// How many names are shared; browsers call themselves what they like.
const MOST_DEVICES: usize = 1000;

impl Devices {
    pub(super) fn shared(&self, name: &str) -> Arc<str> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = known.get(name) {
            return device.clone();
        }
        let device: Arc<str> = name.into();
        if known.len() < MOST_DEVICES {
            known.insert(device.clone());
        }
        device
    }
}
