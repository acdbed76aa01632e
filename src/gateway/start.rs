//! Start and drain: what is opened in which order, and how it ends.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Request;
use rustls::ServerConfig;
use tokio::runtime::{self, Handle};
use tokio::time::Instant;

use super::certificates;
use super::doors::{self, Doors, Entry};
use super::ending::{self, Signals};
use super::front::Front;
use super::led::Led;
use super::load::Load;
use super::refused_heads::RefusedHeads;
use super::reload::Reload;
use super::remarks::Remarks;
use super::rooms::{Purpose, Rooms};
use super::supervisor::{self, State};
use super::{Door, House};
use crate::accept::tls::TlsError;
use crate::accept::{
    self, Clocks, Connection, Crowd, Entrance, Guests, Handed, Handler, HeadFault, ListenError,
    Received,
};
use crate::cluster::{Cluster, Standing};
use crate::config::Config;
use crate::credentials::password::PasswordError;
use crate::login;
use crate::management::{LookAtPanels, Management};
use crate::portal::{self, Portal};
use crate::proxy::{Open, UpstreamError};
use crate::session::{self, AskOthers, WhyEnded};
use crate::shutdown::Shutdown;
use crate::store::StoreError;
use crate::telemetry::{self, AccessLog, Metrics};
use crate::wire::{Body, Response};

/// How long the tasks of a command have to end.
pub(super) const DRAIN: Duration = Duration::from_secs(10);

/// How long calls in progress have after that.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// Connections of programs at a time.
const MOST_PROGRAMS: usize = 256;

/// Of these from one address, so that one can't take every place.
const MOST_OF_ONE_ADDRESS: usize = 64;

/// How long a command may hold the data folder before the start gives up.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("can't use the folder {}: {cause}; see that it exists and belongs to the gateway's user", folder.display())]
    Folder {
        folder: PathBuf,
        cause: std::io::Error,
    },
    #[error("another gateway or command is using the folder {}", .0.display())]
    InUse(PathBuf),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the panel's upstream: {0}")]
    Upstream(#[from] UpstreamError),
    #[error("no memory for hashing passwords: {0}")]
    Passwords(PasswordError),
    #[error("can't start threads: {0}")]
    Threads(std::io::Error),
}

/// The management API, at its listener and its socket.
#[derive(Clone)]
struct Office {
    management: Management,
    heads: RefusedHeads,
    tasks: Shutdown,
    /// A person may look at the listener with a browser.
    over_tls_alone: bool,
}

impl Handler for Office {
    /// In a task of its own: hyper drops a handler when its caller hangs up, and a revocation that
    /// was asked for is carried out all the same, also when it had not begun by then.
    async fn handle(&self, connection: Arc<Connection>, request: Request<Received>) -> Response {
        let management = self.management.clone();
        let request = request.map(Body::new);
        let answering = async move { management.answer(connection, request).await };
        let answered = self.tasks.spawn(answering).await;
        answered.unwrap_or_else(|fault| super::failed(&fault).into_response())
    }

    fn head_refused(&self, connection: &Connection, fault: HeadFault) {
        self.heads.tell(connection.sender(), fault);
    }

    fn is_over_tls_alone(&self) -> bool {
        self.over_tls_alone
    }
}

/// Runs a gateway until it is told to end; `ready` is called once it can be connected to.
///
/// # Errors
/// [`GatewayError`], before anything was served.
pub fn run(
    config: Config,
    file: Option<PathBuf>,
    ready: impl FnOnce(),
) -> Result<(), GatewayError> {
    let handed = Handed::from_environment()?;
    let control = runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("control")
        .build()
        .map_err(GatewayError::Threads)?;
    control.block_on(serve(Arc::new(config), file, handed, ready))
}

async fn serve(
    config: Arc<Config>,
    file: Option<PathBuf>,
    mut handed: Handed,
    ready: impl FnOnce(),
) -> Result<(), GatewayError> {
    let mut signals = Signals::listen();
    let tasks = Shutdown::new();
    let rooms = open_rooms(&config, &tasks).await?;
    let handshakes = certificates::prepare(&config, &rooms.clock)?;
    let front = Front::new(&config, &rooms.sessions, &rooms.clock, &rooms.metrics)?;
    front.panels.watch(&tasks);
    let entry = Entry {
        tls: handshakes.people.clone(),
        proxies: Arc::new(config.gateway.proxies.clone()),
        crowd: doors::crowd(&config.gateway),
        tasks: tasks.clone(),
    };
    let doors = doors::open(&config.gateway, &mut handed)?;
    let open = Opening::default();
    let access = access_log(&config, &rooms.metrics)?;
    telemetry::count_panics(&rooms.metrics);
    let house = Arc::new(House::new(&rooms, front, access, (&tasks, &open.leaving)));
    watch(&rooms, &entry.crowd, &house);
    let programs = handshakes.programs.clone();
    open_office(&house, &rooms, programs, &open, &mut handed)?;
    handed.are_all_taken()?;
    let workers = employ(doors, &config, &house, &entry)?;
    let exchanges = house.open.clone();
    let reload = Reload {
        file,
        live: rooms.live.clone(),
        sessions: rooms.sessions.clone(),
        certificates: handshakes.certificates.clone(),
        house,
        tasks: tasks.clone(),
    };
    tasks.spawn(reload.keep_watch());
    handshakes.are_watched(&rooms.metrics, &rooms.clock, &tasks);
    keep_house(&rooms, &tasks);
    tracing::info!(address = %config.gateway.external_url, sessions = rooms.sessions.count(), "serving");
    ready();
    supervisor::tell(State::Ready);
    signals.next().await;
    open.leaving.begin();
    let ending = async {
        ending::tell_first(config.gateway.drain).await;
        ending::drain(&tasks, &exchanges, config.gateway.drain).await;
        // Until here sessions could be ended: what is open while the gateway drains, too.
        open.office.begin();
        open.office.finished_within(LAST_CALLS).await;
    };
    tokio::select! {
        () = ending => {}
        () = ending::at_once(&mut signals) => {}
    }
    // The workers end with their tasks, so this waits no longer than the drain did.
    let joined =
        tokio::task::spawn_blocking(|| workers.into_iter().for_each(|worker| drop(worker.join())));
    let _ = joined.await;
    // Nothing is served any more: the others need not wait for this node.
    rooms.cluster.leave().await;
    rooms.store.close().await;
    Ok(())
}

/// What goes on beside the requests.
fn keep_house(rooms: &Rooms, tasks: &Shutdown) {
    tasks.spawn(login::keep_counts(rooms.login.clone(), tasks.clone()));
    tasks.spawn(session::keep_house(
        rooms.sessions.clone(),
        rooms.store.clone(),
        ask_others(&rooms.cluster),
        tasks.clone(),
    ));
}

impl House {
    fn new(
        rooms: &Rooms,
        front: Front,
        access: AccessLog,
        (tasks, leaving): (&Shutdown, &Shutdown),
    ) -> Self {
        let why_ended = WhyEnded::new(rooms.store.clone(), rooms.sessions.clone());
        Self {
            front: ArcSwap::from_pointee(front),
            over_tls_alone: over_tls_alone(&rooms.config),
            portal: Portal::new(
                portal::Verbs {
                    login: rooms.login.clone(),
                    users: rooms.users.clone(),
                    revoker: rooms.revoker.clone(),
                    sessions: rooms.sessions.clone(),
                    cluster: rooms.cluster.clone(),
                    why_ended: why_ended.clone(),
                },
                rooms.store.form_key(),
                rooms.live.clone(),
                rooms.clock.clone(),
                rooms.metrics.clone(),
            ),
            why_ended,
            cluster: rooms.cluster.clone(),
            control: Handle::current(),
            heads: RefusedHeads::new(access.clone(), rooms.metrics.clone(), rooms.clock.clone()),
            remarks: Remarks::default(),
            led: Led::default(),
            access,
            metrics: rooms.metrics.clone(),
            clock: rooms.clock.clone(),
            sessions: rooms.sessions.clone(),
            open: Open::new(rooms.config.gateway.connections_per_address),
            load: Load::default(),
            tasks: tasks.clone(),
            leaving: leaving.clone(),
        }
    }

    fn look_at_panels(self: &Arc<Self>) -> LookAtPanels {
        let house = Arc::downgrade(self);
        Box::new(move || {
            let house = house.upgrade();
            house.map_or_else(Vec::new, |house| house.front.load().panels.states())
        })
    }
}

fn access_log(config: &Config, metrics: &Metrics) -> Result<AccessLog, GatewayError> {
    if !config.log.access {
        return Ok(AccessLog::off(metrics.clone()));
    }
    AccessLog::to_stdout(config.log.format, metrics.clone()).map_err(GatewayError::Threads)
}

/// The numbers that are looked up when they are asked for.
fn watch(rooms: &Rooms, crowd: &Crowd, house: &Arc<House>) {
    let metrics = &rooms.metrics;
    let sessions = rooms.sessions.clone();
    metrics.watch(
        "sessions",
        "Live sessions that this node has in memory",
        move || sessions.count(),
    );
    let crowd = crowd.clone();
    metrics.watch("connections", "Connections of people", move || {
        crowd.count()
    });
    watch_cluster(rooms);
    let load = house.load.clone();
    metrics.watch(
        "own_bytes",
        "What is held for pages and answers of the gateway's own, as it is weighed",
        move || load.held(),
    );
    let passwords = rooms.passwords.clone();
    metrics.watch(
        "password_queue",
        "Passwords that are being hashed or wait for it",
        move || passwords.queue(),
    );
    let passwords = rooms.passwords.clone();
    metrics.watch_count(
        "password_hashes",
        "Passwords hashed since the start",
        move || passwords.begun(),
    );
    let panels = house.look_at_panels();
    let up = move || {
        panels()
            .into_iter()
            .map(|panel| (panel.name, usize::from(panel.up)))
    };
    metrics.watch_panels("panel_up", "1 where requests are sent to it", move || {
        up().collect()
    });
    let panels = house.look_at_panels();
    let requests = move || {
        panels()
            .into_iter()
            .map(|panel| (panel.name, panel.requests))
    };
    metrics.watch_panels("panel_requests", "Requests in progress", move || {
        requests().collect()
    });
}

/// When a session was last seen on any node.
fn ask_others(cluster: &Cluster) -> AskOthers {
    let cluster = cluster.clone();
    Box::new(move |token| {
        let cluster = cluster.clone();
        Box::pin(async move {
            if let Err(fault) = cluster.session(token).await {
                tracing::debug!(%fault, "can't tell when a session was last seen elsewhere");
            }
        })
    })
}

/// Where this node stands among others that share the store; nothing is told without them.
fn watch_cluster(rooms: &Rooms) {
    type Look = fn(&Standing) -> u64;
    const LOOKS: [(&str, &str, Look); 5] = [
        (
            "cluster_lag",
            "Revocations that were seen and not applied yet",
            |now| now.lag,
        ),
        (
            "cluster_lease_age_milliseconds",
            "How long ago the lease was renewed",
            |now| in_millis(now.lease_age),
        ),
        (
            "cluster_store_latency_microseconds",
            "How long the store took to renew the lease",
            |now| u64::try_from(now.store_latency.as_micros()).unwrap_or(u64::MAX),
        ),
        (
            "cluster_trusted",
            "1 where this node may serve who is signed in",
            |now| now.is_trusted.into(),
        ),
        (
            "cluster_store_changes",
            "How often this node has ended every session because the store had gone back or was another one",
            |now| now.endings,
        ),
    ];
    if rooms.cluster.is_alone() {
        return;
    }
    for (name, help, look) in LOOKS {
        let cluster = rooms.cluster.clone();
        rooms.metrics.watch(name, help, move || {
            let number = cluster.standing().map_or(0, |standing| look(&standing));
            usize::try_from(number).unwrap_or(usize::MAX)
        });
    }
}

fn in_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Starts a worker for each set of doors.
fn employ(
    doors: Vec<Doors>,
    config: &Config,
    house: &Arc<House>,
    entry: &Entry,
) -> Result<Vec<JoinHandle<()>>, GatewayError> {
    let started = doors.into_iter().map(|doors| {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let worker = Worker {
            doors,
            house: house.clone(),
            entry: entry.clone(),
            given: config.gateway.drain.exchanges + LAST_CALLS,
        };
        let thread = thread::Builder::new().name("worker".to_owned());
        thread.spawn(move || runtime.block_on(worker.run()))
    });
    started
        .collect::<io::Result<_>>()
        .map_err(GatewayError::Threads)
}

/// One thread with a runtime, listeners and connections to the panel of its own.
struct Worker {
    doors: Doors,
    house: Arc<House>,
    entry: Entry,
    /// How long its tasks have in the end.
    given: Duration,
}

impl Worker {
    async fn run(self) {
        let tasks = self.entry.tasks.clone();
        let door = Door::new(self.house);
        self.doors.serve(&door, &self.entry);
        drop((door, self.entry));
        tasks.begun().await;
        tasks.finished_within(self.given).await;
    }
}

/// Opens the data folder; a command that is using it just now is waited for.
async fn open_rooms(config: &Arc<Config>, tasks: &Shutdown) -> Result<Rooms, GatewayError> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match Rooms::open(config.clone(), tasks, Purpose::Serve).await {
            Err(GatewayError::InUse(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            opened => return opened,
        }
    }
}

/// What ends beside the tasks, each at a time of its own.
#[derive(Default)]
struct Opening {
    /// Begins with the first signal: whoever balances load is told before anything else changes.
    leaving: Shutdown,
    /// Calls, which are taken until the last exchange has ended.
    office: Shutdown,
}

/// Opens the management API on the control runtime, until the office begins to end.
fn open_office(
    house: &Arc<House>,
    rooms: &Rooms,
    tls: Option<Arc<ServerConfig>>,
    open: &Opening,
    handed: &mut Handed,
) -> Result<(), GatewayError> {
    let office = Office {
        management: rooms.management(
            house.look_at_panels(),
            house.access.clone(),
            open.leaving.clone(),
        ),
        heads: house.heads.clone(),
        tasks: house.tasks.clone(),
        over_tls_alone: house.over_tls_alone,
    };
    let watching = office.management.clone().watch_tokens(house.tasks.clone());
    house.tasks.spawn(watching);
    let entrance = Entrance {
        handler: office,
        tls,
        // Programs speak for themselves.
        proxies: Arc::default(),
        guests: Guests::Everyone,
        crowd: Crowd::new(MOST_PROGRAMS, MOST_OF_ONE_ADDRESS),
        clocks: Clocks::default(),
        shutdown: open.office.clone(),
    };
    let socket = accept::bind_unix(
        &rooms.config.gateway.data_dir.join("management.sock"),
        handed,
    )?;
    // Without TLS a token would travel in clear text.
    let listen = rooms.config.management.listen;
    let addresses: Vec<_> = listen
        .filter(|_| entrance.tls.is_some())
        .into_iter()
        .collect();
    for listener in accept::bind(&addresses, 1, handed)?.into_iter().flatten() {
        open.office.spawn(accept::serve(listener, entrance.clone()));
    }
    // With places of its own: whoever fills the listener must not keep the operator out.
    let at_socket = Entrance {
        crowd: Crowd::new(MOST_PROGRAMS, MOST_PROGRAMS),
        ..entrance
    };
    open.office.spawn(accept::serve_unix(socket, at_socket));
    Ok(())
}

/// Nobody trusts a development certificate for good, and a host is not to be closed by one.
fn over_tls_alone(config: &Config) -> bool {
    config.gateway.hsts && !config.tls.development
}
