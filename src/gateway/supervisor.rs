//! Tells whoever supervises the process what state it is in, as systemd asks for it (sd_notify): a
//! datagram to the socket that NOTIFY_SOCKET names. Without one nobody is told.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::clock;

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It can be connected to.
    Ready,
    /// It was asked to take up a changed configuration; `Ready` follows.
    Reloading,
    /// It ends: nothing new is taken.
    Stopping,
}

/// Tells a state. That nobody listens is no reason not to serve.
pub(super) fn tell(state: State) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(fault) = send(&socket, &state.message()) {
        tracing::warn!(%fault, "can't tell the supervisor about the state of the gateway");
    }
}

impl State {
    fn message(self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Reloading => {
                let now = clock::monotonic_micros();
                format!("RELOADING=1\nMONOTONIC_USEC={now}")
            }
            Self::Stopping => "STOPPING=1".to_owned(),
        }
    }
}

fn send(socket: &OsStr, text: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}
