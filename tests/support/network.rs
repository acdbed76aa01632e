//! Networks that fail: a road of the test's own making, which can be closed in either direction,
//! slowed, torn up and led elsewhere; and a namespace with a real link, where packets are dropped.
//!
//! Roads run on threads of their own: a test that waits for a program stands still itself.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Which way is meant, of whoever connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    There,
    Back,
    Both,
}

impl Way {
    fn holds(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

/// What is done with what comes.
#[derive(Debug, Clone, Copy)]
struct Conduct {
    target: SocketAddr,
    /// What goes this way stays on the road, and nobody is told.
    closed: Option<Way>,
    delay: Duration,
    /// Connections of an older age are reset.
    age: u64,
}

/// Leads from a port to another one, on this machine. Gone when dropped.
pub struct Road {
    pub port: u16,
    conduct: watch::Sender<Conduct>,
}

impl Road {
    /// From a port that is free.
    pub fn to(target: SocketAddr) -> Self {
        Self::between(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), target)
    }

    /// From this address.
    pub fn between(from: SocketAddr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(from).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (conduct, known) = watch::channel(Conduct {
            target,
            closed: None,
            delay: Duration::ZERO,
            age: 0,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        std::thread::spawn(move || runtime.block_on(serve(listener, known)));
        Self { port, conduct }
    }

    /// What goes this way stays where it is from now on, as when packets are lost.
    pub fn close(&self, way: Way) {
        self.conduct
            .send_modify(|conduct| conduct.closed = Some(way));
    }

    /// Everything goes on, what stayed on the road first.
    pub fn open(&self) {
        self.conduct.send_modify(|conduct| {
            conduct.closed = None;
            conduct.delay = Duration::ZERO;
        });
    }

    /// Everything takes so much longer, in either direction.
    pub fn slow_down(&self, delay: Duration) {
        self.conduct.send_modify(|conduct| conduct.delay = delay);
    }

    /// Resets what is connected.
    pub fn tear_up(&self) {
        self.conduct.send_modify(|conduct| conduct.age += 1);
    }

    /// Leads to another port from now on.
    pub fn lead_to(&self, port: u16) {
        self.conduct.send_modify(|conduct| {
            conduct.target.set_port(port);
            conduct.age += 1;
        });
    }
}

type Known = watch::Receiver<Conduct>;

async fn serve(listener: TcpListener, mut known: Known) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                tokio::spawn(carry(stream, known.clone()));
            }
            changed = known.changed() => if changed.is_err() { return },
        }
    }
}

/// Carries one connection, until one side ends it or it is torn up.
async fn carry(mut stream: TcpStream, mut known: Known) {
    let age = known.borrow().age;
    // Whatever ends it in the middle is a reset.
    let _ = stream.set_zero_linger();
    let mut torn_up = known.clone();
    let carried = async {
        let opens = known.wait_for(|conduct| is_open(conduct, Way::There));
        let target = opens.await.ok()?.target;
        let mut onward = TcpStream::connect(target).await.ok()?;
        for end in [&stream, &onward] {
            end.set_nodelay(true).ok()?;
        }
        onward.set_zero_linger().ok()?;
        let (read_near, write_near) = stream.split();
        let (read_far, write_far) = onward.split();
        tokio::select! {
            () = pass(read_near, write_far, known.clone(), Way::There) => {}
            () = pass(read_far, write_near, known.clone(), Way::Back) => {}
        }
        Some(())
    };
    tokio::select! {
        _ = carried => {}
        _ = torn_up.wait_for(|conduct| conduct.age != age) => {}
    }
}

fn is_open(conduct: &Conduct, way: Way) -> bool {
    !conduct.closed.is_some_and(|closed| closed.holds(way))
}

/// Passes bytes on in their order, and the end as well.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut known: Known, way: Way) {
    let (sender, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(64);
    let reading = async move {
        loop {
            let mut bytes = vec![0; 16 * 1024];
            let count = from.read(&mut bytes).await.unwrap_or(0);
            bytes.truncate(count);
            if sender.send((Instant::now(), bytes)).await.is_err() || count == 0 {
                // What waits is passed on first.
                return std::future::pending().await;
            }
        }
    };
    let writing = async move {
        while let Some((came, bytes)) = waiting.recv().await {
            let delay = known.borrow().delay;
            tokio::time::sleep_until(came + delay).await;
            let opens = known.wait_for(|conduct| is_open(conduct, way));
            if opens.await.is_err() {
                return;
            }
            if bytes.is_empty() {
                // A good end comes after all that was said.
                let _ = set_socket_linger(to.as_ref(), None);
                return;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

/// A network of its own with one link to this machine's. Gone when dropped.
pub struct Namespace {
    name: String,
    link: String,
    /// This machine, as it is called inside.
    pub outside: IpAddr,
    pub inside: IpAddr,
}

impl Namespace {
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        // Blocks of four addresses; another process of tests begins elsewhere.
        let block = (process.wrapping_mul(97).wrapping_add(number) % 16384) * 4;
        let address = |last: u32| {
            let [high, low] = u16::try_from(block + last).unwrap().to_be_bytes();
            IpAddr::from([10, 213, high, low])
        };
        let namespace = Self {
            name: format!("portcullis-{process}-{number}"),
            link: format!("pc{process}n{number}"),
            outside: address(1),
            inside: address(2),
        };
        namespace.link_up();
        namespace
    }

    fn link_up(&self) {
        let (name, link) = (&self.name, &self.link);
        let (outside, inside) = (self.outside, self.inside);
        for arguments in [
            format!("netns add {name}"),
            format!("link add {link} type veth peer name inner netns {name}"),
            format!("address add {outside}/30 dev {link}"),
            format!("link set {link} up"),
            format!("-netns {name} address add {inside}/30 dev inner"),
            format!("-netns {name} link set inner up"),
            format!("-netns {name} link set lo up"),
            format!("-netns {name} route add default via {outside}"),
        ] {
            assert!(ip(&arguments), "ip {arguments}");
        }
        self.rules("add table inet cut");
    }

    /// What runs a program in it.
    pub fn entrance(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Drops what goes to that port of this machine, or what comes from there, or both.
    pub fn cut(&self, port: u16, way: Way) {
        let mut rules = String::new();
        for (hook, end, direction) in [
            ("output", "dport", Way::There),
            ("input", "sport", Way::Back),
        ] {
            if way.holds(direction) {
                rules += &format!(
                    "add chain inet cut {hook} {{ type filter hook {hook} priority 0; }}\n\
                     add rule inet cut {hook} tcp {end} {port} drop\n"
                );
            }
        }
        self.rules(&rules);
    }

    /// Drops nothing any more.
    pub fn heal(&self) {
        self.rules("delete table inet cut\nadd table inet cut");
    }

    fn rules(&self, rules: &str) {
        let [program, arguments @ ..] = self.entrance();
        let mut command = Command::new(program);
        command.args(arguments).args(["nft", "-f", "-"]);
        let mut nft = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = nft.stdin.take().unwrap();
        input.write_all(rules.as_bytes()).unwrap();
        input.write_all(b"\n").unwrap();
        drop(input);
        assert!(nft.wait().unwrap().success(), "{rules}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("link delete {}", self.link));
        ip(&format!("netns delete {}", self.name));
    }
}

fn ip(arguments: &str) -> bool {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    status.unwrap().success()
}
