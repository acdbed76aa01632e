//! What a data folder holds, opened: the store under its lock, and the verbs over it.
//!
//! The running gateway and a command that works without one open the same rooms, so that they do the
//! same thing in the same way; the lock lets only one of them do it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::GatewayError;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::{Config, Live, Place, Server};
use crate::credentials::password::Passwords;
use crate::login::Login;
use crate::management::{self, LookAtPanels, Management, Refusals, TokenUses};
use crate::revoke::Revoker;
use crate::secret_file::{self, Own};
use crate::session::{self, Sessions};
use crate::shutdown::Shutdown;
use crate::store::{self, Moved, Store, StoreError};
use crate::telemetry::{AccessLog, Metrics};
use crate::users::Users;

/// The rooms that every door shares.
pub(super) struct Rooms {
    pub(super) config: Arc<Config>,
    pub(super) live: Live,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) cluster: Cluster,
    pub(super) revoker: Revoker,
    pub(super) passwords: Passwords,
    pub(super) login: Login,
    pub(super) users: Users,
    /// Held until the process ends, however it ends.
    _lock: File,
}

/// What the rooms are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Serve,
    /// For one command, while no gateway runs in this folder.
    Command,
}

/// The verbs on a data folder that no gateway is using.
pub struct Offline {
    rooms: Rooms,
    management: Management,
    tasks: Shutdown,
}

/// Opens the data folder of a configuration for one command.
///
/// # Errors
/// [`GatewayError::InUse`] while a gateway runs on it; what opening the store can fail with.
pub async fn offline(config: &Config) -> Result<Offline, GatewayError> {
    let tasks = Shutdown::new();
    let rooms = Rooms::open(Arc::new(config.clone()), &tasks, Purpose::Command).await?;
    Ok(Offline {
        // Nothing is sent to any.
        management: rooms.management(
            Box::new(Vec::new),
            AccessLog::off(rooms.metrics.clone()),
            Shutdown::new(),
        ),
        rooms,
        tasks,
    })
}

/// Puts a backup in the place of the store; where the one that was there is kept.
///
/// # Errors
/// [`GatewayError::InUse`] while a gateway runs on it; what makes a backup unfit. Nothing is changed
/// then.
pub async fn restore(config: &Config, backup: &Path) -> Result<Option<PathBuf>, GatewayError> {
    if let Place::Shared(_) = config.storage.place {
        let instead =
            "restore a backup of the server; the gateways notice it, and end every session";
        return Err(StoreError::NotEmbedded(instead).into());
    }
    let data_dir = &config.gateway.data_dir;
    let _lock = take_folder(data_dir)?;
    Ok(store::restore(
        data_dir,
        &config.storage.master_key,
        backup,
        Clock::system(),
    )
    .await?)
}

/// Moves the embedded store of a configuration to a server.
///
/// # Errors
/// [`GatewayError::InUse`] while a gateway runs on it; what moving it can fail with. Nothing is changed
/// then.
pub async fn move_store(config: &Config, to: &Server) -> Result<Moved, GatewayError> {
    let data_dir = &config.gateway.data_dir;
    let _lock = take_folder(data_dir)?;
    Ok(store::move_to(to, &config.storage.master_key, data_dir).await?)
}

impl Offline {
    /// The management API over the folder.
    pub fn management(&self) -> &Management {
        &self.management
    }

    /// The store of the folder.
    pub fn store(&self) -> &Store {
        &self.rooms.store
    }

    /// Ends what is under way, and closes the store in good order.
    pub async fn close(self) {
        self.tasks.begin();
        self.tasks.finished_within(super::start::DRAIN).await;
        self.rooms.cluster.leave().await;
        self.rooms.store.close().await;
    }
}

impl Rooms {
    pub(super) async fn open(
        config: Arc<Config>,
        tasks: &Shutdown,
        purpose: Purpose,
    ) -> Result<Self, GatewayError> {
        let data_dir = &config.gateway.data_dir;
        let lock = take_folder(data_dir)?;
        let live = Live::new((*config).clone());
        let metrics = Metrics::default();
        if let Some(file) = &config.storage.url_file {
            secret_file::examine(file, Own::Mend).map_err(StoreError::from)?;
        }
        let store = Store::open_at(&config.storage, data_dir).await?;
        let store = store
            .measured(metrics.clone())
            .holding_sessions_to(live.clone());
        let clock = store.clock().clone();
        let sessions = open_table(&config, &store).await?;
        let staleness = config.storage.max_staleness;
        let cluster = match purpose {
            Purpose::Serve => Cluster::join(&store, &sessions, staleness, data_dir).await?,
            Purpose::Command => Cluster::visit(&store, &sessions, staleness).await,
        };
        let passwords = Passwords::new().map_err(GatewayError::Passwords)?;
        let revoker = Revoker::new(
            store.clone(),
            sessions.clone(),
            cluster.clone(),
            tasks.clone(),
        );
        let revoker = revoker.measured(metrics.clone());
        let login = Login::new(
            store.clone(),
            sessions.clone(),
            cluster.clone(),
            passwords.clone(),
            live.clone(),
            clock.clone(),
        );
        login.restore_counts().await?;
        let users = Users::new(
            store.clone(),
            revoker.clone(),
            login.clone(),
            passwords.clone(),
            live.clone(),
            clock.clone(),
        );
        Ok(Self {
            config,
            live,
            clock,
            metrics,
            store,
            sessions,
            cluster,
            revoker,
            passwords,
            login,
            users,
            _lock: lock,
        })
    }

    pub(super) fn management(
        &self,
        panels: LookAtPanels,
        access: AccessLog,
        leaving: Shutdown,
    ) -> Management {
        Management::new(management::Verbs {
            users: self.users.clone(),
            revoker: self.revoker.clone(),
            store: self.store.clone(),
            sessions: self.sessions.clone(),
            cluster: self.cluster.clone(),
            config: self.live.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            access,
            refusals: Refusals::default(),
            uses: TokenUses::default(),
            panels,
            leaving,
        })
    }
}

/// The table of sessions: brought back from a store of its own, and filled as they are asked for where
/// other nodes share the store.
async fn open_table(config: &Config, store: &Store) -> Result<Sessions, StoreError> {
    let clock = store.clock().clone();
    let now = clock.now();
    let sessions = match store.is_shared() {
        true => Sessions::shared(config.session, clock),
        false => Sessions::new(config.session, clock),
    };
    sessions.hold_to(config.session, &config.second_factor);
    if !store.is_shared() {
        session::restore(&sessions, store, &config.second_factor, now).await?;
    }
    Ok(sessions)
}

/// Makes the folder if it is missing, for its owner alone, and locks it.
fn take_folder(folder: &Path) -> Result<File, GatewayError> {
    let failed = |cause: io::Error| GatewayError::Folder {
        folder: folder.to_owned(),
        cause,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed)?;
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join("lock"))
        .map_err(failed)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(GatewayError::InUse(folder.to_owned())),
        Err(cause) => Err(failed(cause.into())),
    }
}
