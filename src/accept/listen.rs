//! Binds the addresses, and says in a sentence why it cannot.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Handed;
use super::spread::Spread;
use rustix::fs::{Access, Mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Why the gateway cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("cannot listen on {0}: another process listens there already (`ss -ltnp` shows which)")]
    Taken(SocketAddr),
    /// A port below 1024 without the right to it.
    #[error(
        "cannot listen on {0}: ports below 1024 need the capability CAP_NET_BIND_SERVICE (AmbientCapabilities= in a unit of systemd), or a listener that systemd hands over"
    )]
    Forbidden(SocketAddr),
    /// Not an address of this machine.
    #[error("cannot listen on {0}: this machine has no such address")]
    NotHere(SocketAddr),
    /// Any other reason.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Another process answers on the socket.
    #[error("cannot listen on {0}: another process answers on this socket; is a gateway running?")]
    Live(PathBuf),
    /// There is a file that is no socket.
    #[error("cannot listen on {0}: there is a file of this name that is not a socket")]
    NotASocket(PathBuf),
    /// The folder of a UNIX socket is missing.
    #[error("cannot listen on {}: there is no folder {}; make it for the gateway's user", .0.display(), folder_of(.0).display())]
    NoFolder(PathBuf),
    /// Nothing may be made in the folder of a UNIX socket.
    #[error(
        "cannot listen on {}: this user may not make or remove files in {}{}; give the folder to the gateway's user, or name another",
        .0.display(), folder_of(.0).display(), whose(folder_of(.0))
    )]
    ClosedFolder(PathBuf),
    /// A socket of another user, which this one can't try.
    #[error(
        "cannot listen on {}: there is a socket{} that this user may not try; if no gateway runs there, remove it",
        .0.display(), whose(.0)
    )]
    OfAnother(PathBuf),
    /// Any other reason at a UNIX socket.
    #[error("cannot listen on {path}: {source}")]
    Socket {
        /// The path asked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something else than a listener was handed over.
    #[error("socket {index} of LISTEN_FDS is no listener for streams: {source}")]
    Handed {
        /// Its place among them, from 0.
        index: usize,
        /// What the system says.
        source: io::Error,
    },
    /// A listener was handed over that the configuration does not name.
    #[error(
        "a listener for {0} was handed over, but no listener of the configuration has this address"
    )]
    NotAskedFor(String),
    /// The runtime does not take the listener.
    #[error("cannot wait for connections: {0}")]
    Runtime(io::Error),
}

/// One worker's listener at an address.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: TcpListener,
    pub(super) spread: Spread,
}

impl Listener {
    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Binds every address once for each of `workers`. The kernel spreads the connections over the
/// listeners of one address (SO_REUSEPORT). The outer list has one entry a worker.
///
/// What was handed over is taken in place of a new listener. A port 0 becomes the same free port for all workers.
///
/// # Errors
/// When an address cannot be had; none is bound then.
pub fn bind(
    addresses: &[SocketAddr],
    workers: usize,
    handed: &mut Handed,
) -> Result<Vec<Vec<Listener>>, ListenError> {
    let mut listeners: Vec<Vec<Listener>> = Vec::new();
    listeners.resize_with(workers.max(1), Vec::new);
    for &address in addresses {
        let spread = Spread::over(listeners.len());
        if let Some(listener) = handed.take_tcp(address) {
            // The workers take turns at it.
            for (worker, spread) in listeners.iter_mut().zip(spread) {
                let socket = listener.try_clone().map_err(ListenError::Runtime)?;
                worker.push(Listener { socket, spread });
            }
            continue;
        }
        let explained = |error| explain(address, error);
        // With SO_REUSEPORT a second gateway of the same user would silently get half of the
        // connections. Without it the kernel says that the port is taken.
        drop(bound(address, false).map_err(explained)?);
        let mut address = address;
        for (worker, spread) in listeners.iter_mut().zip(spread) {
            let socket = listening(address).map_err(explained)?;
            address = socket
                .local_addr()
                .map_err(|source| ListenError::Bind { address, source })?;
            worker.push(Listener { socket, spread });
        }
    }
    Ok(listeners)
}

/// Whether an address can be listened on now; nothing listens there afterwards.
///
/// # Errors
/// As [`bind`].
pub fn can_bind(address: SocketAddr) -> Result<(), ListenError> {
    bound(address, false)
        .map(drop)
        .map_err(|error| explain(address, error))
}

fn listening(address: SocketAddr) -> Result<TcpListener, Errno> {
    let socket = bound(address, true)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

fn bound(address: SocketAddr, shared: bool) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, FLAGS, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, shared)?;
    if address.is_ipv6() {
        // So that `0.0.0.0` and `[::]` can stand side by side, whatever the system's default.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

fn explain(address: SocketAddr, error: Errno) -> ListenError {
    match error {
        Errno::ADDRINUSE => ListenError::Taken(address),
        Errno::ACCESS => ListenError::Forbidden(address),
        Errno::ADDRNOTAVAIL => ListenError::NotHere(address),
        other => ListenError::Bind {
            address,
            source: other.into(),
        },
    }
}

/// Finds out about peers that vanished without a word: a tunnel that waits for one would stay for
/// ever. About two minutes after the last sign of life its connection fails.
///
/// # Errors
/// When the connection is gone already.
pub(super) fn watch_for_dead_peer(stream: impl AsFd) -> io::Result<()> {
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(&stream, 4)?;
    Ok(())
}

/// Binds a UNIX socket that only its owner may use. The socket file of a dead process is replaced.
///
/// # Errors
/// When a living process answers there, or the path cannot be used.
pub fn bind_unix(path: &Path, handed: &mut Handed) -> Result<UnixListener, ListenError> {
    bind_unix_with(path, handed, Mode::RUSR | Mode::WUSR)
}

/// The same for its owner's group too, to which a proxy may belong.
///
/// # Errors
/// As [`bind_unix`].
pub fn bind_unix_for_group(path: &Path, handed: &mut Handed) -> Result<UnixListener, ListenError> {
    bind_unix_with(
        path,
        handed,
        Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP,
    )
}

fn bind_unix_with(
    path: &Path,
    handed: &mut Handed,
    mode: Mode,
) -> Result<UnixListener, ListenError> {
    if let Some(listener) = handed.take_unix(path) {
        return Ok(listener);
    }
    if is_stale(path)? {
        fs::remove_file(path).map_err(|source| explain_unix(path, source))?;
    }
    listening_unix(path, mode).map_err(|source| explain_unix(path, source))
}

/// Whether a UNIX socket can be listened on now. Nothing is made or removed.
///
/// # Errors
/// As [`bind_unix`].
pub fn can_bind_unix(path: &Path) -> Result<(), ListenError> {
    is_stale(path)?;
    SocketAddrUnix::new(path).map_err(|fault| explain_unix(path, fault.into()))?;
    let folder = folder_of(path);
    let found = fs::metadata(folder).map_err(|source| explain_unix(path, source))?;
    if !found.is_dir() {
        return Err(explain_unix(path, Errno::NOTDIR.into()));
    }
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|fault| explain_unix(path, fault.into()))
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().unwrap_or(Path::new("/"));
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    }
}

/// Whose it is, for a sentence.
fn whose(path: &Path) -> String {
    let owner = fs::symlink_metadata(path).map(|found| found.uid());
    owner.map_or_else(|_| String::new(), |uid| format!(" of user {uid}"))
}

fn explain_unix(path: &Path, source: io::Error) -> ListenError {
    match source.kind() {
        io::ErrorKind::NotFound => ListenError::NoFolder(path.to_owned()),
        io::ErrorKind::PermissionDenied => ListenError::ClosedFolder(path.to_owned()),
        _ => ListenError::Socket {
            path: path.to_owned(),
            source,
        },
    }
}

fn listening_unix(path: &Path, mode: Mode) -> io::Result<UnixListener> {
    let address = SocketAddrUnix::new(path)?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    // Linux gives the new file the mode of the socket: at no moment is it open to others.
    rustix::fs::fchmod(&socket, mode)?;
    rustix::net::bind(&socket, &address)?;
    fs::set_permissions(path, Permissions::from_mode(mode.as_raw_mode()))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Whether the path is a stale socket: no process listens on it, and the gateway removes it.
fn is_stale(path: &Path) -> Result<bool, ListenError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(explain_unix(path, error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(ListenError::OfAnother(path.to_owned()))
        }
        Err(error) => Err(explain_unix(path, error)),
        Ok(_) => Err(ListenError::Live(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn every_worker_listens_on_the_same_port() {
        let workers = bind(&[loopback()], 3, &mut Handed::default()).unwrap();
        let ports: Vec<u16> = workers
            .iter()
            .map(|listeners| listeners[0].local_addr().unwrap().port())
            .collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|&port| port == ports[0] && port != 0));
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_even_when_the_other_shares_it() {
        let first = bind(&[loopback()], 1, &mut Handed::default()).unwrap();
        let address = first[0][0].local_addr().unwrap();
        let error = bind(&[address], 1, &mut Handed::default()).unwrap_err();
        assert!(matches!(error, ListenError::Taken(taken) if taken == address));
        assert!(error.to_string().contains("another process listens there"));
    }

    #[test]
    fn an_address_of_another_machine_is_an_error() {
        let error = bind(&["192.0.2.1:0".parse().unwrap()], 1, &mut Handed::default()).unwrap_err();
        assert!(matches!(error, ListenError::NotHere(_)));
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("management.sock");
        let first = bind_unix(&path, &mut Handed::default()).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(matches!(
            bind_unix(&path, &mut Handed::default()),
            Err(ListenError::Live(_))
        ));
        drop(first);
        bind_unix(&path, &mut Handed::default()).unwrap();
    }

    #[test]
    fn whether_a_socket_can_be_had_is_told_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        can_bind_unix(&path).unwrap();
        assert!(!path.exists());
        let missing = folder.path().join("none/a.sock");
        let told = can_bind_unix(&missing).unwrap_err().to_string();
        assert!(
            told.contains("there is no folder") && told.contains("/none;"),
            "{told}"
        );
        let told = bind_unix(&missing, &mut Handed::default()).unwrap_err();
        assert!(matches!(told, ListenError::NoFolder(_)), "{told}");
        // Longer than an address of a UNIX socket may be.
        let long = folder.path().join("x".repeat(200));
        assert!(can_bind_unix(&long).is_err());

        let live = UnixListener::bind(&path).unwrap();
        assert!(matches!(can_bind_unix(&path), Err(ListenError::Live(_))));
        drop(live);
        can_bind_unix(&path).unwrap();
        assert!(path.exists(), "a stale one stays where it is");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(matches!(
            can_bind_unix(&path),
            Err(ListenError::NotASocket(_))
        ));
        let below = path.join("a.sock");
        assert!(can_bind_unix(&below).is_err());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(
            bind_unix(&path, &mut Handed::default()),
            Err(ListenError::NotASocket(_))
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
