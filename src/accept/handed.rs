//! Listeners that were handed to the process when it began (LISTEN_FDS), as systemd does: the
//! connections of people then wait while the gateway restarts, and ports below 1024 need no right.
//!
//! Each takes the place of the configured listener with its address; there is nothing to configure.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::ListenError;

/// Listeners that wait for being asked for.
#[derive(Debug, Default)]
pub struct Handed {
    tcp: Vec<(SocketAddr, TcpListener)>,
    unix: Vec<(PathBuf, UnixListener)>,
}

impl Handed {
    /// What the environment says. To be called before there are threads, and once.
    ///
    /// # Errors
    /// When something was handed over that is no stream listener.
    pub fn from_environment() -> Result<Self, ListenError> {
        let mut source = listenfd::ListenFd::from_env();
        let mut handed = Self::default();
        for index in 0..source.len() {
            handed
                .add(&mut source, index)
                .map_err(|source| ListenError::Handed { index, source })?;
        }
        Ok(handed)
    }

    fn add(&mut self, source: &mut listenfd::ListenFd, index: usize) -> io::Result<()> {
        match source.take_unix_listener(index) {
            Ok(Some(listener)) => {
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                let path = address
                    .as_pathname()
                    .ok_or(io::ErrorKind::AddrNotAvailable)?;
                self.unix.push((path.to_owned(), listener));
            }
            _ => {
                if let Some(listener) = source.take_tcp_listener(index)? {
                    listener.set_nonblocking(true)?;
                    self.tcp.push((listener.local_addr()?, listener));
                }
            }
        }
        Ok(())
    }

    pub(super) fn take_tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let found = self.tcp.iter().position(|(known, _)| *known == address)?;
        Some(self.tcp.swap_remove(found).1)
    }

    pub(super) fn take_unix(&mut self, path: &Path) -> Option<UnixListener> {
        let found = self.unix.iter().position(|(known, _)| known == path)?;
        Some(self.unix.swap_remove(found).1)
    }

    /// Whether every one was asked for: people would wait for ever at one that nobody serves.
    ///
    /// # Errors
    /// [`ListenError::NotAskedFor`] with the first one left.
    pub fn are_all_taken(&self) -> Result<(), ListenError> {
        let tcp = self.tcp.iter().map(|(address, _)| address.to_string());
        let unix = self
            .unix
            .iter()
            .map(|(path, _)| format!("unix:{}", path.display()));
        match tcp.chain(unix).next() {
            Some(left) => Err(ListenError::NotAskedFor(left)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::bind;

    #[test]
    fn a_handed_listener_serves_every_worker() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut handed = Handed {
            tcp: vec![(address, listener)],
            unix: Vec::new(),
        };
        assert!(handed.are_all_taken().is_err());
        let workers = bind(&[address], 3, &mut handed).unwrap();
        assert!(handed.are_all_taken().is_ok());
        for listeners in workers {
            assert_eq!(listeners[0].local_addr().unwrap(), address);
        }
    }
}
