//! Several gateways over one PostgreSQL and in front of one panel, each with a road of its own to the
//! store, or with a network of its own.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::gateway::{Gateway, RULES, Written};
use super::http1::{Answer, Wire, tls};
use super::network::{Namespace, Road};
use super::panel::Panel;
use super::postgres::{Postgres, url};
use super::{eventually, free_port, secrets};

/// The longest that a node of a cluster may run without hearing from the store.
pub const STALENESS: Duration = Duration::from_secs(2);

/// The nodes, the first of them at index 0.
pub struct Cluster {
    pub panel: Panel,
    pub nodes: Vec<Gateway>,
    /// From each node to the store; empty for those with a network.
    pub roads: Vec<Road>,
    /// Of each node, where it has one.
    pub networks: Vec<Namespace>,
    /// From this machine's ports to those of the nodes with networks, and from these to the panel.
    ways_in: Vec<Road>,
    pub postgres: Postgres,
    pub keys: Keys,
    sections: String,
    external_port: u16,
}

/// A revocation that was answered.
pub struct Ended {
    pub answer: Answer,
    pub took: Duration,
    /// When the answer was there.
    pub at: Instant,
}

impl Cluster {
    /// So many nodes that run.
    pub async fn of(count: usize) -> Self {
        Self::with(count, "").await
    }

    /// With more sections of configuration.
    pub async fn with(count: usize, sections: &str) -> Self {
        Self::over(Postgres::start(), count, sections).await
    }

    /// Over a store that runs.
    pub async fn over(postgres: Postgres, count: usize, sections: &str) -> Self {
        let mut cluster = Self::without_nodes(postgres, sections).await;
        for node in 0..count {
            cluster.lay_out_node();
            cluster.nodes[node].start().await;
        }
        cluster
    }

    pub async fn without_nodes(postgres: Postgres, sections: &str) -> Self {
        Self {
            panel: Panel::start().await,
            nodes: Vec::new(),
            roads: Vec::new(),
            networks: Vec::new(),
            ways_in: Vec::new(),
            postgres,
            keys: Keys::new(),
            sections: sections.to_owned(),
            external_port: free_port(),
        }
    }

    /// The folder of one more node, which runs once it is started.
    pub fn lay_out_node(&mut self) -> &mut Gateway {
        let road = Road::to(local(self.postgres.port));
        let storage = self.keys.storage(&url(road.port));
        self.roads.push(road);
        let upstream = format!("http://127.0.0.1:{}", self.panel.port);
        self.lay_out_at(Ipv4Addr::LOCALHOST.into(), &upstream, &storage)
    }

    fn lay_out_at(&mut self, address: IpAddr, upstream: &str, storage: &str) -> &mut Gateway {
        let gateway = Gateway::laid_out(&Written {
            upstream,
            lines: "",
            sections: &format!("{storage}{}", self.sections),
            rules: RULES,
            address,
            external_port: Some(self.external_port),
        });
        self.nodes.push(gateway);
        self.nodes.last_mut().unwrap()
    }

    /// So many nodes, each in a network of its own.
    pub async fn apart(count: usize, sections: &str) -> Self {
        let networks: Vec<Namespace> = (0..count).map(|_| Namespace::new()).collect();
        let mut postgres = Postgres::laid_out(&[]);
        for network in &networks {
            postgres.listens_at(network.outside);
        }
        postgres.run();
        postgres.furnish();
        let mut cluster = Self::without_nodes(postgres, sections).await;
        for network in networks {
            cluster.start_apart(network).await;
        }
        cluster
    }

    async fn start_apart(&mut self, network: Namespace) {
        let panel = Road::between((network.outside, 0).into(), local(self.panel.port));
        let upstream = format!("http://{}:{}", network.outside, panel.port);
        let store = SocketAddr::from((network.outside, self.postgres.port));
        // The link is the test's own: there is nobody to hide anything from.
        let url = format!("postgres://portcullis@{store}/portcullis?sslmode=disable");
        let storage = self.keys.storage(&url);
        let node = self.lay_out_at(network.inside, &upstream, &storage);
        let ports = [node.port, node.management_port];
        self.ways_in.push(panel);
        for port in ports {
            let inside = SocketAddr::from((network.inside, port));
            self.ways_in.push(Road::between(local(port), inside));
        }
        let node = self.nodes.last_mut().unwrap();
        node.start_under(&network.entrance()).await;
        self.networks.push(network);
    }

    /// A node as the operator sees it, from any of them.
    pub fn list(&self, seen_from: usize) -> Vec<Value> {
        let nodes = self.nodes[seen_from].operator(&["node", "list"]);
        nodes.as_array().unwrap().clone()
    }

    /// Ends somebody's sessions by a call to this node, with a token of the scope.
    pub async fn end_sessions(&self, node: usize, bearer: &str, name: &str) -> Ended {
        let path = format!("/v1/users/{name}/sessions");
        let begun = Instant::now();
        let answer = self.nodes[node].call(bearer, "DELETE", &path, "").await;
        let at = Instant::now();
        Ended {
            answer,
            took: at - begun,
            at,
        }
    }

    /// Waits until every one of these nodes answers somebody with 200.
    pub async fn serve(&self, nodes: &[usize], token: &str) {
        for node in nodes {
            let port = self.nodes[*node].port;
            eventually(&format!("node {node} to serve"), async || {
                (status(port, token).await? == 200).then_some(())
            })
            .await;
        }
    }
}

impl Ended {
    /// It was told as done, on so many nodes.
    pub fn is_done(&self) -> &Self {
        let text = self.answer.text();
        assert_eq!(self.answer.status, 200, "{text}");
        let told = self.answer.json();
        assert_eq!(told["durable"], true, "{text}");
        assert_eq!(told["nodes_unreached"], 0, "{text}");
        self
    }
}

/// The key that all nodes share.
pub struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    pub fn new() -> Self {
        let keys = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        keys.make("master.key");
        keys
    }

    /// One more key.
    pub fn make(&self, name: &str) -> PathBuf {
        let mut key = [0; 32];
        rand::fill(&mut key).unwrap();
        let path = self.folder.path().join(name);
        let text = STANDARD.encode(key);
        secrets::keep(&text);
        fs::write(&path, text + "\n").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("master.key")
    }

    /// The section of the configuration.
    pub fn storage(&self, url: &str) -> String {
        storage(url, &self.path())
    }
}

/// The section of the configuration, with any key.
pub fn storage(url: &str, key: &Path) -> String {
    let staleness = STALENESS.as_secs();
    let key = key.display();
    format!(
        "[storage]\nurl = \"{url}\"\nmax_staleness = \"{staleness}s\"\nmaster_key = \"file:{key}\"\n"
    )
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// What somebody's program is answered by the panel at a port; `None` when nothing comes.
pub async fn status(port: u16, token: &str) -> Option<u16> {
    let cookie = format!("Cookie: __Host-Http-portcullis={token}");
    let answer = asked(port, "/echo", &[&cookie]).await?;
    Some(answer.status)
}

/// What is answered over a connection of its own; `None` when nothing comes.
pub async fn asked(port: u16, target: &str, fields: &[&str]) -> Option<Answer> {
    let limit = Duration::from_secs(5);
    let asking = async {
        let mut wire = Wire::over(tls(port, &[b"http/1.1"]).await.ok()?);
        wire.try_request("GET", target, fields, b"").await
    };
    tokio::time::timeout(limit, asking).await.ok()?
}

/// Whether whoever balances load may send people to this gateway.
pub async fn is_ready(gateway: &Gateway) -> bool {
    let answer = asked(gateway.management_port, "/readyz", &[]).await;
    answer.is_some_and(|answer| answer.status == 200)
}
