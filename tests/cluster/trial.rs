//! A trial of a cluster: ada's session is ended while something goes wrong, bob's is not, and both have
//! clients on every node all the while.

use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, Ended, STALENESS, asked, status};
use crate::support::eventually;
use crate::support::person::with_the_password_alone as alone;

use super::watch::{CUT_AT_LAST, Clients, Sockets, acted_after, longest_gap};

/// Passwords alone, and as many sessions as a test needs.
pub(crate) const PLAIN: &str = "[second_factor]\nrequired = false\n[session]\nmax_per_user = 1000\n\
                                [throttle]\nper_address = \"5000/15m\"\n";

/// What a slow machine may add to whatever has a limit.
pub(crate) const SLACK: Duration = Duration::from_millis(1500);

/// The longest that a revocation may take which has to wait for a node that is not heard of.
pub(crate) const WAIT: Duration = STALENESS
    .saturating_add(Duration::from_millis(500))
    .saturating_add(SLACK);

/// A cluster with two people in it.
pub(crate) struct Trial {
    pub(crate) cluster: Cluster,
    pub(crate) bearer: String,
    pub(crate) ada: String,
    pub(crate) bob: String,
}

impl Trial {
    /// With three nodes.
    pub(crate) async fn new() -> Self {
        Self::of(Cluster::with(3, PLAIN).await).await
    }

    /// They sign in on one node each, and work on all.
    pub(crate) async fn of(cluster: Cluster) -> Self {
        let [first, .., last] = cluster.nodes.as_slice() else {
            panic!("a cluster of one");
        };
        first.add_with_password("ada");
        first.add_with_password("bob");
        // Has no session.
        first.add_with_password("eve");
        let trial = Self {
            bearer: first.token("revoke,read"),
            ada: alone(first.port, "ada").await.unwrap(),
            bob: alone(last.port, "bob").await.unwrap(),
            cluster,
        };
        trial.all_serve().await;
        trial
    }

    /// Waits until every node serves bob.
    pub(crate) async fn all_serve(&self) {
        let all: Vec<usize> = (0..self.cluster.nodes.len()).collect();
        self.cluster.serve(&all, &self.ada).await;
        self.cluster.serve(&all, &self.bob).await;
    }

    /// Waits until every node serves bob again; ada may be gone.
    pub(crate) async fn recovers(&self) {
        let all: Vec<usize> = (0..self.cluster.nodes.len()).collect();
        self.cluster.serve(&all, &self.bob).await;
    }

    /// From here on everything is watched.
    pub(crate) async fn begins(&self) -> Watched {
        Watched {
            sockets: Sockets::open(&self.cluster, &self.ada).await,
            hers: Clients::of(&self.cluster, &self.ada),
            his: Clients::of(&self.cluster, &self.bob),
        }
    }

    /// Ends ada's sessions, which must be told as done.
    pub(crate) async fn ends_hers(&self, node: usize) -> Ended {
        let ended = self.cluster.end_sessions(node, &self.bearer, "ada").await;
        ended.is_done();
        ended
    }

    /// Neither is she served anywhere, nor is anybody told anything but that.
    pub(crate) async fn is_over(&self) {
        for node in &self.cluster.nodes {
            assert_eq!(status(node.port, &self.ada).await, Some(401));
        }
    }

    /// Signs her in anew, known to every node.
    pub(crate) async fn she_comes_back(&mut self) {
        let port = self.cluster.nodes[0].port;
        self.ada = alone(port, "ada").await.unwrap();
        self.all_serve().await;
    }

    /// Leads every road to another server's port.
    pub(crate) fn leads_to(&self, port: u16) {
        for road in &self.cluster.roads {
            road.lead_to(port);
        }
    }

    /// No session of before lives on these nodes, and users can sign in.
    pub(crate) async fn everybody_is_out(&self, nodes: &[usize]) {
        let ports = || nodes.iter().map(|node| self.cluster.nodes[*node].port);
        for port in ports() {
            for token in [&self.ada, &self.bob] {
                eventually("everybody to be out", async || {
                    (status(port, token).await? == 401).then_some(())
                })
                .await;
            }
        }
        let last = ports().next_back().unwrap();
        let fresh = alone(last, "bob").await.unwrap();
        for port in ports() {
            assert_eq!(status(port, &fresh).await, Some(200));
        }
    }

    /// Of what her clients tried, nothing came through that was begun after the answer.
    pub(crate) async fn nothing_got_through(&self, what: &str, hers: Clients, ended: &Ended) {
        let hers = hers.end().await;
        let acted = acted_after(&self.cluster.panel, &hers, ended.at);
        let (acted, count) = (acted.as_millis(), hers.len());
        println!(
            "cluster: {what}: a dead session could act for {acted} ms after the answer; {count} requests"
        );
        assert_eq!(acted, 0, "{what}");
    }

    /// What was watched: nothing of hers may have reached the panel after the answer. How long nobody
    /// was served.
    pub(crate) async fn result(&self, what: &str, watched: Watched, ended: &Ended) -> Duration {
        self.result_since(what, watched, ended, ended.at).await
    }

    /// The same where a node could do nothing about open connections until a moment after the answer.
    pub(crate) async fn result_since(
        &self,
        what: &str,
        watched: Watched,
        ended: &Ended,
        awake: Instant,
    ) -> Duration {
        // Whatever would come too late has time to come.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (hers, his) = (watched.hers.end().await, watched.his.end().await);
        let acted = acted_after(&self.cluster.panel, &hers, ended.at);
        let carried = watched.sockets.carried_after(awake).await;
        let gap = longest_gap(&his);
        println!(
            "cluster: {what}: a dead session could act for {} ms after the answer; the cluster could \
             not serve for {} ms; the answer took {} ms; {} requests of hers, {} of his; an open \
             connection carried something for {} ms",
            acted.as_millis(),
            gap.as_millis(),
            ended.took.as_millis(),
            hers.len(),
            his.len(),
            carried.as_millis(),
        );
        assert_eq!(acted, Duration::ZERO, "{what}: forwarded after the answer");
        assert!(carried < CUT_AT_LAST, "{what}: open for {carried:?}");
        let wrongly_out = his.iter().filter(|one| one.status == Some(401)).count();
        assert_eq!(
            wrongly_out, 0,
            "{what}: he was told that he is not signed in"
        );
        gap
    }
}

/// Who watches.
pub(crate) struct Watched {
    sockets: Sockets,
    hers: Clients,
    his: Clients,
}

/// Waits until a node tells people to come back later; how long that took.
pub(crate) async fn stands_still(cluster: &Cluster, node: usize, token: &str) -> Duration {
    let begun = Instant::now();
    let port = cluster.nodes[node].port;
    eventually("the node to stand still", async || {
        (status(port, token).await? == 503).then_some(())
    })
    .await;
    begun.elapsed()
}

/// A person is told to come back, and so is a program, with no change to what they hold.
pub(crate) async fn tells_to_come_back(port: u16, token: &str) {
    let cookie = format!("Cookie: __Host-Http-portcullis={token}");
    for (accept, kind) in [
        ("text/html", "text/html"),
        ("application/json", "application/problem+json"),
    ] {
        let accept = format!("Accept: {accept}");
        let answer = asked(port, "/echo", &[&cookie, &accept]).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 503, "{}", answer.text());
        let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(wait > 0);
        assert!(answer.header("content-type").unwrap().starts_with(kind));
        assert_eq!(answer.header("set-cookie"), None, "the cookie is kept");
    }
}
