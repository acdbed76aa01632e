//! People who come to a proxy from an address of their own, and what each of them must be able to do.

use std::net::SocketAddr;

use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};

use crate::behind::{Behind, HOST};
use crate::support::http1::{Answer, Wire, trusting};
use crate::support::person::{PASSWORD, csrf_of, session_in};
use crate::support::soon;
use crate::support::websocket::WebSocket;

/// Somebody at an address of this machine.
#[derive(Clone, Copy)]
pub(crate) struct Visitor {
    pub(crate) from: &'static str,
    /// Where the proxy listens.
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

const ADDRESSED: &str = "Host: panel.example.org";

impl Visitor {
    pub(crate) fn at(from: &'static str, port: u16) -> Self {
        Self {
            from,
            port,
            is_tls: true,
        }
    }

    /// The same who has typed `http://`.
    pub(crate) fn plain(from: &'static str, port: u16) -> Self {
        Self {
            is_tls: false,
            ..Self::at(from, port)
        }
    }

    pub(crate) async fn connect(self) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        let own = SocketAddr::new(self.from.parse().unwrap(), 0);
        socket.bind(own).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], self.port));
        let stream: TcpStream = soon("a connection", socket.connect(to)).await.unwrap();
        if !self.is_tls {
            return Wire::over(stream);
        }
        let name = ServerName::try_from(HOST).unwrap();
        let connecting = trusting(&[b"http/1.1"]).connect(name, stream);
        Wire::over(soon("TLS", connecting).await.unwrap())
    }

    pub(crate) async fn get(self, target: &str, fields: &[&str]) -> Answer {
        let fields: Vec<&str> = [ADDRESSED].iter().chain(fields).copied().collect();
        self.connect().await.get(target, &fields).await
    }

    /// Signs in with a name and a password.
    pub(crate) async fn sign_in(self, user: &str, password: &str) -> Answer {
        let page = self.get("/.portcullis/login", &["Accept: text/html"]).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let cookies = page.all("set-cookie");
        let cookies = cookies.iter().filter_map(|line| line.split(';').next());
        let cookie = format!("Cookie: {}", cookies.collect::<Vec<_>>().join("; "));
        let password = password.replace(' ', "+");
        let csrf = csrf_of(&page.text());
        let form = format!("user={user}&password={password}&csrf={csrf}");
        let fields = [
            ADDRESSED,
            &cookie,
            "Content-Type: application/x-www-form-urlencoded",
            "Origin: https://panel.example.org",
            "Accept: text/html",
        ];
        let path = "/.portcullis/login";
        let mut wire = self.connect().await;
        wire.request("POST", path, &fields, form.as_bytes()).await
    }

    /// Signs in as ada; the `Cookie` field of the session.
    pub(crate) async fn session(self) -> String {
        let answer = self.sign_in("ada", PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let token = session_in(&answer).expect("a session");
        format!("Cookie: __Host-Http-portcullis={token}")
    }
}

/// One person's wrong guesses stop that person, and no one else; with a name each, so that no limit of a
/// name is met.
pub(crate) async fn guesses_stop_one(guesses: usize, guesser: Visitor, other: Visitor) {
    for number in 0..guesses {
        let answer = guesser
            .sign_in(&format!("nobody{number}"), "wrong as can be")
            .await;
        assert_eq!(answer.status, 401, "{number}: {}", answer.text());
    }
    let stopped = guesser.sign_in("nobody", "wrong as can be").await;
    assert_eq!(stopped.status, 429, "{}", stopped.text());
    other.session().await;
}

/// Pages, sign-in, the panel, a WebSocket, a large upload, and fields that a client makes up.
pub(crate) async fn is_served(visitor: Visitor, behind: &Behind) {
    let open = visitor.get("/echo", &["Accept: text/html"]).await;
    assert_eq!(open.status, 303, "{}", open.text());
    let leads = open.header("location").unwrap();
    assert!(leads.starts_with("/.portcullis/login?next="), "{leads}");
    let cookie = visitor.session().await;
    let page = visitor.get("/echo", &[&cookie]).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(behind.told("x-forwarded-for"), visitor.from);
    assert_eq!(behind.told("x-forwarded-proto"), "https");
    assert_eq!(behind.told("host"), HOST);
    for forged in [
        "X-Forwarded-For: 198.51.100.1",
        "X-Real-IP: 198.51.100.1",
        "Forwarded: for=198.51.100.1;proto=http",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Ssl: off",
        "Front-End-Https: off",
        "X-Forwarded-Scheme: http",
        "X-Forwarded-Host: evil.example",
    ] {
        let answer = visitor.get("/static/a", &[forged]).await;
        assert_eq!(answer.status, 200, "{forged}: {}", answer.text());
        assert_eq!(behind.told("x-forwarded-for"), visitor.from, "{forged}");
        assert_eq!(behind.told("x-forwarded-host"), HOST, "{forged}");
    }
    let fields = [ADDRESSED, &cookie, "Origin: https://panel.example.org"];
    let opened = WebSocket::open(visitor.connect().await, "/ws", &fields).await;
    let mut socket = opened.unwrap_or_else(|answer| panic!("{}: {}", answer.status, answer.text()));
    socket.check_echo().await;
    let body = vec![b'x'; 8 * 1024 * 1024];
    let fields = [ADDRESSED, &cookie, "Origin: https://panel.example.org"];
    let mut wire = visitor.connect().await;
    let answer = wire.request("POST", "/sink", &fields, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("8388608"), "{}", answer.text());
}
