//! What people who have not signed in may make the gateway hold: a bound on the sum, of one network and of
//! all together.
//!
//! A stream of HTTP/2 costs its client nothing. Thousands of them, each with a large head, a form that
//! never ends or an answer that is not taken, are one network's. So each request to the gateway's pages and
//! each answer of its own is weighed for as long as it is held, and a form as it comes. What is too much
//! is dropped from the oldest on: a client that sends a form in one piece gets it through, also from the network
//! that the flood comes from, as there are always older ones that wait for their client. A network that
//! has too much loses its own; when all together have too much, the one that has most does.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::accept::{Received, network};
use crate::cancel::{Cancel, Cancelled};
use crate::model::ClientAddress;
use crate::wire::body::Crowded;
use crate::wire::{Body, Response};

/// What one exchange weighs at the least, in bytes: a stream with its tables, the request as it was read
/// and the task that answers it.
const EACH: usize = 8 * 1024;

/// What one network may hold, in bytes: about two thousand exchanges at a time.
const OF_NETWORK: usize = 16 * 1024 * 1024;

/// What all may hold together, in bytes.
const IN_ALL: usize = 64 * 1024 * 1024;

/// What is held at this moment. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Load(Arc<Mutex<Shares>>);

#[derive(Debug, Default)]
struct Shares {
    next: u64,
    held: usize,
    networks: HashMap<IpAddr, Share>,
}

#[derive(Debug, Default)]
struct Share {
    held: usize,
    /// By age.
    open: BTreeMap<u64, Weighed>,
}

#[derive(Debug)]
struct Weighed {
    bytes: usize,
    letting_go: Cancel,
}

/// For whom something is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    network: IpAddr,
    most: usize,
}

/// Something that is held, until it is dropped or let go.
#[derive(Debug)]
pub(super) struct Weight {
    load: Load,
    holder: Holder,
    number: u64,
}

impl Holder {
    /// The client at this address. A proxy that does not say for whom it asks has no share that is
    /// smaller than that of all.
    pub(super) fn of(client: ClientAddress) -> Self {
        Self {
            network: network(client.address()),
            most: client.counted().map_or(IN_ALL, |_| OF_NETWORK),
        }
    }
}

impl Load {
    /// Holds this number of bytes more; `letting_go` is cancelled when that is too much and this the oldest.
    fn hold(&self, holder: Holder, bytes: usize, letting_go: Cancel) -> Weight {
        let mut shares = self.shares();
        let number = shares.next;
        shares.next += 1;
        shares.held += bytes;
        let share = shares.networks.entry(holder.network).or_default();
        share.held += bytes;
        share.open.insert(number, Weighed { bytes, letting_go });
        let let_go = shares.settle(holder);
        drop(shares);
        let_go.iter().for_each(Cancel::cancel);
        Weight {
            load: self.clone(),
            holder,
            number,
        }
    }

    /// Weighs a request of which the gateway itself is the receiver: its head, and its body as it comes.
    pub(super) fn request(
        &self,
        holder: Holder,
        parts: &Parts,
        body: Received,
    ) -> (Arc<Weight>, Body) {
        let letting_go = Cancel::new();
        let let_go = letting_go.cancelled();
        let weight = Arc::new(self.hold(holder, EACH + size_of_head(parts), letting_go));
        let weighed = WeighedBody {
            body,
            weight: weight.clone(),
            let_go,
        };
        (weight, Body::new(weighed))
    }

    /// Weighs an answer until it is taken; `closer` drops what carries it.
    pub(super) fn answer(&self, holder: Holder, response: Response, closer: &Cancel) -> Response {
        let length = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
        let bytes = EACH.saturating_add(length).min(OF_NETWORK);
        let weight = self.hold(holder, bytes, closer.clone());
        response.map(|body| {
            Body::new(WeighedAnswer {
                body,
                _weight: weight,
            })
        })
    }

    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.shares().held
    }

    /// A panic while holding the lock leaves the sums whole enough, so poisoning tells nothing.
    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    /// Takes the oldest out until there is no more than there may be.
    fn settle(&mut self, holder: Holder) -> Vec<Cancel> {
        let mut let_go = Vec::new();
        while self.held_by(holder.network) > holder.most {
            let_go.extend(self.take_oldest(holder.network));
        }
        while self.held > IN_ALL {
            let most = self.networks.iter().max_by_key(|(_, share)| share.held);
            let Some(network) = most.map(|(network, _)| *network) else {
                break;
            };
            let_go.extend(self.take_oldest(network));
        }
        let_go
    }

    fn held_by(&self, network: IpAddr) -> usize {
        self.networks.get(&network).map_or(0, |share| share.held)
    }

    fn take_oldest(&mut self, network: IpAddr) -> Option<Cancel> {
        let share = self.networks.get(&network)?;
        let number = share.open.keys().next().copied();
        match number {
            Some(number) => self.take(network, number),
            None => {
                self.networks.remove(&network);
                None
            }
        }
    }

    fn take(&mut self, network: IpAddr, number: u64) -> Option<Cancel> {
        let share = self.networks.get_mut(&network)?;
        let taken = share.open.remove(&number)?;
        share.held = share.held.saturating_sub(taken.bytes);
        self.held = self.held.saturating_sub(taken.bytes);
        if share.open.is_empty() {
            self.networks.remove(&network);
        }
        Some(taken.letting_go)
    }
}

impl Weight {
    fn grow(&self, bytes: usize) {
        let mut shares = self.load.shares();
        let Some(share) = shares.networks.get_mut(&self.holder.network) else {
            return;
        };
        let Some(weighed) = share.open.get_mut(&self.number) else {
            return;
        };
        weighed.bytes += bytes;
        share.held += bytes;
        shares.held += bytes;
        let let_go = shares.settle(self.holder);
        drop(shares);
        let_go.iter().for_each(Cancel::cancel);
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        let network = self.holder.network;
        let taken = self.load.shares().take(network, self.number);
        drop(taken);
    }
}

fn size_of_head(parts: &Parts) -> usize {
    let fields = parts.headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len());
    let target = parts.uri.path_and_query().map_or(0, |it| it.as_str().len());
    fields.sum::<usize>() + target
}

/// The body of a request, whose bytes are weighed as they come.
struct WeighedBody {
    body: Received,
    weight: Arc<Weight>,
    let_go: Cancelled,
}

impl HttpBody for WeighedBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if Pin::new(&mut self.let_go).poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Crowded.into())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.weight.grow(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer that is weighed.
struct WeighedAnswer {
    body: Body,
    _weight: Weight,
}

impl HttpBody for WeighedAnswer {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn holder(address: &str) -> Holder {
        let client: IpAddr = address.parse().unwrap();
        Holder::of(client.into())
    }

    /// What is held, and whether it was let go.
    fn hold(load: &Load, address: &str, bytes: usize) -> (Weight, Cancel) {
        let letting_go = Cancel::new();
        let weight = load.hold(holder(address), bytes, letting_go.clone());
        (weight, letting_go)
    }

    #[test]
    fn a_network_that_has_too_much_loses_its_oldest() {
        let load = Load::default();
        let other = hold(&load, "192.0.2.9", MIB);
        let held: Vec<_> = (0..20)
            .map(|last| hold(&load, &format!("2001:db8::{last}"), MIB))
            .collect();
        let gone = held.iter().map(|(_, gone)| gone.is_cancelled());
        assert!(gone.eq((0..20).map(|number| number < 4)));
        assert!(!other.1.is_cancelled());
        // One that grows is no younger for it.
        held[4].0.grow(MIB);
        assert!(held[4].1.is_cancelled() && !held[5].1.is_cancelled());
        drop(held);
        assert_eq!(load.held(), MIB);
        drop(other);
        assert_eq!(load.held(), 0);
        assert!(load.shares().networks.is_empty());
    }

    #[test]
    fn when_all_have_too_much_the_one_that_has_most_loses() {
        let load = Load::default();
        let small = hold(&load, "192.0.2.1", MIB);
        let large: Vec<_> = (2..7)
            .map(|last| {
                let address = format!("192.0.2.{last}");
                [0; 12].map(|_| hold(&load, &address, MIB))
            })
            .collect();
        assert_eq!(load.held(), 61 * MIB);
        let more = [0; 8].map(|_| hold(&load, "192.0.2.8", MIB));
        assert_eq!(load.held(), IN_ALL);
        let gone = large
            .iter()
            .flatten()
            .filter(|(_, gone)| gone.is_cancelled());
        assert_eq!(gone.count(), 5);
        let mut kept = more.iter().chain([&small]);
        assert!(kept.all(|(_, gone)| !gone.is_cancelled()));
    }

    #[test]
    fn what_is_larger_than_a_share_is_let_go_itself() {
        let load = Load::default();
        let (weight, gone) = hold(&load, "192.0.2.1", OF_NETWORK + 1);
        assert!(gone.is_cancelled());
        weight.grow(MIB);
        assert_eq!(load.held(), 0);
    }
}
