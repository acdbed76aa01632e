//! The listeners for people, and how many connections they take.

use std::os::unix::net::UnixListener;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;

use super::Door;
use super::redirect::RedirectDoor;
use crate::accept::{
    self, Clocks, Crowd, Entrance, Guests, Handed, Handler, ListenError, Listener,
};
use crate::config::{Gateway, PlainListener, TrustedProxies};
use crate::shutdown::Shutdown;

/// Open files that are kept for the store, logs, management and what is opened for a moment.
const RESERVED_FILES: usize = 64;
/// Open files of one exchange: the client's connection and the panel's.
const FILES_EACH: usize = 2;
/// As many as there may be where the system sets no limit.
const MOST: usize = 1 << 20;

/// The listeners of one worker.
#[derive(Debug, Default)]
pub(super) struct Doors {
    https: Vec<Listener>,
    plain: Vec<Listener>,
    plain_unix: Vec<UnixListener>,
    redirect: Vec<Listener>,
}

/// What the listeners of all workers share.
#[derive(Clone)]
pub(super) struct Entry {
    /// `None` where there is no listener with TLS.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) proxies: Arc<TrustedProxies>,
    pub(super) crowd: Crowd,
    pub(super) tasks: Shutdown,
}

/// Opens every listener for every worker.
pub(super) fn open(gateway: &Gateway, handed: &mut Handed) -> Result<Vec<Doors>, ListenError> {
    let workers = gateway.workers;
    let mut plain = Vec::new();
    let mut sockets = Vec::new();
    for listener in &gateway.listen_plain {
        match listener {
            PlainListener::Tcp(address) => plain.push(*address),
            PlainListener::Unix(path) => sockets.push(accept::bind_unix_for_group(path, handed)?),
        }
    }
    let tcp = accept::bind(&gateway.listen, workers, handed)?
        .into_iter()
        .zip(accept::bind(&plain, workers, handed)?)
        .zip(accept::bind(&gateway.redirect_http, workers, handed)?);
    tcp.map(|((https, plain), redirect)| {
        // Workers take turns at a UNIX socket: there is no SO_REUSEPORT for it.
        let shared: Result<_, _> = sockets.iter().map(UnixListener::try_clone).collect();
        Ok(Doors {
            https,
            plain,
            plain_unix: shared.map_err(ListenError::Runtime)?,
            redirect,
        })
    })
    .collect()
}

impl Doors {
    /// Serves them all on the current runtime.
    pub(super) fn serve(self, door: &Door, entry: &Entry) {
        let redirect = RedirectDoor(door.house.clone());
        for listener in self.https {
            // Never in the clear what is meant for TLS.
            let Some(tls) = &entry.tls else {
                tracing::error!("a listener with TLS has no certificate and is not served");
                continue;
            };
            let entrance = Entrance {
                tls: Some(tls.clone()),
                ..entry.entrance(door.clone(), Guests::Everyone)
            };
            entry.spawn(accept::serve(listener, entrance));
        }
        for listener in self.plain {
            let entrance = entry.entrance(door.clone(), Guests::ProxiesOnly);
            entry.spawn(accept::serve(listener, entrance));
        }
        for listener in self.plain_unix {
            let entrance = entry.entrance(door.clone(), Guests::ProxiesOnly);
            entry.spawn(accept::serve_unix(listener, entrance));
        }
        for listener in self.redirect {
            let entrance = entry.entrance(redirect.clone(), Guests::Everyone);
            entry.spawn(accept::serve(listener, entrance));
        }
    }
}

impl Entry {
    fn entrance<H: Handler>(&self, handler: H, guests: Guests) -> Entrance<H> {
        Entrance {
            handler,
            tls: None,
            proxies: self.proxies.clone(),
            guests,
            crowd: self.crowd.clone(),
            clocks: Clocks::default(),
            shutdown: self.tasks.clone(),
        }
    }

    fn spawn(&self, serving: impl Future<Output = Result<(), ListenError>> + Send + 'static) {
        self.tasks.spawn(async move {
            if let Err(fault) = serving.await {
                tracing::error!(%fault, "a listener failed");
            }
        });
    }
}

/// As many connections as the configuration says; by default as many as there are open files for.
pub(super) fn crowd(gateway: &Gateway) -> Crowd {
    let files = raise_file_limit();
    let possible = (files.saturating_sub(RESERVED_FILES) / FILES_EACH).clamp(1, MOST);
    let most = match gateway.connections {
        0 => possible,
        asked => asked,
    };
    if most > possible {
        tracing::warn!(
            connections = most,
            files,
            "there are not open files enough for so many connections; raise the limit (LimitNOFILE)"
        );
    }
    Crowd::new(most, gateway.connections_per_address)
}

/// Raises the limit of open files as far as the system lets it; what it is then.
fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(fault) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%fault, "can't raise the limit of open files");
    }
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}
