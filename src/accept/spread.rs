//! Spreads the connections of an address over the workers.
//!
//! The kernel deals them out by a hash of their addresses (SO_REUSEPORT, socket(7)): a thousand come
//! out even, sixteen do not, and a connection stays where it is for hours. So a worker that has
//! clearly more than another hands the next one over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// One worker's part of an address.
#[derive(Debug)]
pub(super) struct Spread {
    desks: Arc<[Desk]>,
    own: usize,
    inbox: UnboundedReceiver<Moving>,
}

/// One worker, as the others see it.
#[derive(Debug)]
struct Desk {
    connections: AtomicUsize,
    outbox: UnboundedSender<Moving>,
}

/// A connection on its way to the runtime of another worker.
type Moving = (std::net::TcpStream, SocketAddr, Seat);

/// A connection that counts as one of a worker's, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    desks: Arc<[Desk]>,
    at: usize,
}

impl Spread {
    /// A part for each worker.
    pub(super) fn over(workers: usize) -> Vec<Self> {
        let (desks, inboxes): (Vec<_>, Vec<_>) = (0..workers)
            .map(|_| {
                let (outbox, inbox) = unbounded_channel();
                let connections = AtomicUsize::new(0);
                (
                    Desk {
                        connections,
                        outbox,
                    },
                    inbox,
                )
            })
            .unzip();
        let desks: Arc<[Desk]> = desks.into();
        let parts = inboxes.into_iter().enumerate();
        parts
            .map(|(own, inbox)| Self {
                desks: desks.clone(),
                own,
                inbox,
            })
            .collect()
    }

    /// A connection that another worker has handed over.
    pub(super) async fn handed(&mut self) -> Option<Moving> {
        // Never closed: this part has a sender of its own.
        self.inbox.recv().await
    }

    /// Keeps a connection that was accepted here, or hands it over to a worker that has clearly fewer.
    pub(super) fn place(&self, stream: TcpStream, peer: SocketAddr) -> Option<(TcpStream, Seat)> {
        let fewest = self.fewest();
        if fewest == self.own {
            return Some((stream, self.seat(self.own)));
        }
        let (Ok(stream), Some(desk)) = (stream.into_std(), self.desks.get(fewest)) else {
            return None;
        };
        // A worker that has ended takes nothing: the connection is closed, as all are then.
        let _ = desk.outbox.send((stream, peer, self.seat(fewest)));
        None
    }

    /// The worker for the next one: this one, unless another has fewer by two and an eighth.
    fn fewest(&self) -> usize {
        let counts = self
            .desks
            .iter()
            .map(|desk| desk.connections.load(Ordering::Relaxed));
        let counts: Vec<usize> = counts.collect();
        let own = counts.get(self.own).copied().unwrap_or(0);
        let least = counts
            .iter()
            .copied()
            .enumerate()
            .min_by_key(|(_, count)| *count);
        match least {
            Some((at, count)) if count + 2 + own / 8 <= own => at,
            _ => self.own,
        }
    }

    fn seat(&self, at: usize) -> Seat {
        if let Some(desk) = self.desks.get(at) {
            desk.connections.fetch_add(1, Ordering::Relaxed);
        }
        Seat {
            desks: self.desks.clone(),
            at,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(desk) = self.desks.get(self.at) {
            desk.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(spread: &Spread) -> Vec<usize> {
        let desks = spread.desks.iter();
        desks
            .map(|desk| desk.connections.load(Ordering::Relaxed))
            .collect()
    }

    #[tokio::test]
    async fn whoever_has_clearly_more_hands_the_next_one_over() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut parts = Spread::over(3);
        let (mut kept, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..60 {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (stream, peer) = listener.accept().await.unwrap();
            // All of them come to the first.
            kept.extend(parts[0].place(stream, peer));
        }
        let spread = counts(&parts[0]);
        assert_eq!(spread.iter().sum::<usize>(), 60);
        assert!(
            spread.iter().all(|count| (16..=26).contains(count)),
            "{spread:?}"
        );
        let mut handed = Vec::new();
        for part in &mut parts[1..] {
            while let Ok(connection) = part.inbox.try_recv() {
                handed.push(connection);
            }
        }
        assert_eq!(handed.len() + kept.len(), 60);
        drop((handed, kept));
        assert_eq!(counts(&parts[0]), [0, 0, 0]);
    }
}
