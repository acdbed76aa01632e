//! Behind a trusted proxy: no limit by the address of a proxy, and no redirect to what is being asked. The
//! proxy is at 127.0.0.2; a connection from elsewhere is a stranger's.

use crate::class_b_proxies::{connect_from, tls_after};
use crate::support::gateway::{Gateway, RULES, Written};
use crate::support::http1::{Answer, Wire};
use crate::support::panel::Panel;
use crate::support::person::csrf_of;
use crate::support::{SOON, eventually, free_port};

pub(crate) const PROXY: &str = "127.0.0.2";
pub(crate) const STRANGER: &str = "127.0.0.3";
pub(crate) const TRUST: &str = r#"trusted_proxies = ["127.0.0.2/32", "10.0.0.0/8", "fd00::/8"]"#;

pub(crate) struct Behind {
    pub(crate) panel: Panel,
    pub(crate) gateway: Gateway,
    /// Its listener without TLS.
    plain: u16,
}

impl Behind {
    pub(crate) async fn a_proxy(lines: &str, sections: &str) -> Self {
        let panel = Panel::start().await;
        let plain = free_port();
        let lines = format!("{TRUST}\nlisten_plain = [\"127.0.0.1:{plain}\"]\n{lines}");
        let mut gateway = Gateway::laid_out(&Written {
            upstream: &format!("http://127.0.0.1:{}", panel.port),
            lines: &lines,
            sections,
            rules: RULES,
            address: "127.0.0.1".parse().unwrap(),
            external_port: None,
        });
        gateway.start().await;
        Self {
            panel,
            gateway,
            plain,
        }
    }

    pub(crate) async fn wire(&self) -> Wire {
        Wire::over(connect_from(PROXY, self.plain).await)
    }

    /// The answer to a question that the proxy brings, and the address that the panel was told.
    pub(crate) async fn ask(&self, fields: &[&str]) -> (u16, Option<String>) {
        self.panel.forget();
        let answer = self.wire().await.get("/static/a", fields).await;
        let seen = self.panel.seen();
        let told = seen
            .last()
            .map(|seen| seen.all("x-forwarded-for").join("|"));
        if let Some(seen) = seen.last() {
            assert_eq!(seen.all("x-forwarded-proto"), ["https"], "{}", seen.head);
            assert_eq!(seen.all("forwarded").len(), 1, "{}", seen.head);
        }
        (answer.status, told)
    }

    /// Somebody guesses a password of somebody.
    async fn guess(&self, user: &str, fields: &[&str]) -> Answer {
        let mut wire = self.wire().await;
        let page = ["Accept: text/html"]
            .into_iter()
            .chain(fields.iter().copied());
        let page: Vec<&str> = page.collect();
        let page = wire.get("/.portcullis/login", &page).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let cookies = page.all("set-cookie");
        let cookies: Vec<&str> = cookies
            .iter()
            .filter_map(|line| line.split(';').next())
            .collect();
        let cookie = format!("Cookie: {}", cookies.join("; "));
        let form = format!(
            "user={user}&password=wrong+as+can+be&csrf={}",
            csrf_of(&page.text())
        );
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let own = [
            kind,
            &cookie,
            "Origin: https://localhost",
            "Accept: text/html",
        ];
        let all: Vec<&str> = own.iter().chain(fields).copied().collect();
        let path = "/.portcullis/login";
        wire.request("POST", path, &all, form.as_bytes()).await
    }

    /// How often a line of the log has these words, once there is one.
    pub(crate) async fn said(&self, words: &str) -> usize {
        eventually("a line of the log", async || {
            let count = self.gateway.log().matches(words).count();
            (count > 0).then_some(count)
        })
        .await
    }
}

pub(crate) const HTTPS: &str = "X-Forwarded-Proto: https";

#[tokio::test]
async fn nobody_is_led_to_what_is_being_asked() {
    let behind = Behind::a_proxy("", "").await;
    let plain = [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: http",
        "Accept: text/html",
    ];
    let led = async || {
        let mut led = 0;
        for _ in 0..40 {
            let answer = behind.wire().await.get("/static/a?b=c", &plain).await;
            match answer.status {
                308 => led += 1,
                403 => assert!(
                    answer.text().contains("X-Forwarded-Proto"),
                    "{}",
                    answer.text()
                ),
                other => panic!("{other}"),
            }
        }
        led
    };
    assert_eq!(led().await, 5, "a proxy that calls everything http");
    assert_eq!(led().await, 0);
    assert_eq!(
        behind.ask(&["X-Forwarded-For: 203.0.113.9", HTTPS]).await.0,
        200
    );
    assert_eq!(led().await, 5, "somebody has arrived over TLS");
    // A program that would send its secret again is not led either.
    let secret = [plain[0], plain[1], "Authorization: Bearer x"];
    assert_eq!(
        behind.wire().await.get("/static/a", &secret).await.status,
        403
    );
}

#[tokio::test]
async fn a_listener_that_redirects_leads_nobody_who_came_over_tls() {
    let port = free_port();
    let lines = format!("redirect_http = [\"127.0.0.1:{port}\"]");
    let behind = Behind::a_proxy(&lines, "").await;
    let ask = async |from, field| {
        let mut wire = Wire::over(connect_from(from, port).await);
        wire.get("/x", &[field]).await
    };
    let answer = ask(PROXY, HTTPS).await;
    assert_eq!((answer.status, answer.header("location")), (403, None));
    assert!(answer.text().contains("listen_plain"), "{}", answer.text());
    // A stranger's word about it is not read.
    assert_eq!(ask(STRANGER, HTTPS).await.status, 308);
    assert_eq!(ask(PROXY, "X-Forwarded-Proto: http").await.status, 308);
    let mut led = 0;
    for _ in 0..20 {
        led += usize::from(ask(PROXY, "X: y").await.status == 308);
    }
    assert_eq!(led, 4, "with the one before");
    assert_eq!(ask(STRANGER, "X: y").await.status, 308);
    drop(behind);
}

#[tokio::test]
async fn guesses_of_one_person_behind_a_proxy_are_that_persons() {
    let behind = Behind::a_proxy("", "[throttle]\nper_address = \"3/15m\"").await;
    let [one, other] = [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-For: 203.0.113.10",
    ];
    for number in 0..3 {
        let answer = behind
            .guess(&format!("nobody{number}"), &[one, HTTPS])
            .await;
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
    assert_eq!(behind.guess("nobody3", &[one, HTTPS]).await.status, 429);
    assert_eq!(behind.guess("nobody4", &[other, HTTPS]).await.status, 401);
    // Neither another field, nor the same one further left, makes the guesser somebody else.
    let left = "X-Forwarded-For: 198.51.100.1, 203.0.113.9";
    assert_eq!(behind.guess("nobody5", &[left, HTTPS]).await.status, 429);
    for field in ["Forwarded: for=198.51.100.1", "X-Real-IP: 198.51.100.1"] {
        let fields = [one, HTTPS, field, "Accept: text/html"];
        let page = behind.wire().await.get("/.portcullis/login", &fields).await;
        assert_eq!(page.status, 400, "{field}");
    }
    assert!(!behind.gateway.log().contains("does not name the client"));
}

#[tokio::test]
async fn a_proxy_that_names_no_client_locks_nobody_out_and_is_told_of_once() {
    let lines = "connections_per_address = 2";
    let behind = Behind::a_proxy(lines, "[throttle]\nper_address = \"3/15m\"").await;
    // As a balancer asks, which is no reason for a warning.
    behind.wire().await.get("/.portcullis/health", &[]).await;
    assert!(
        !behind.gateway.log().contains("WARN"),
        "{}",
        behind.gateway.log()
    );
    for number in 0..8 {
        let hidden = [
            "X: y",
            "X-Forwarded-For: unknown",
            "Forwarded: for=_x",
            "X-Real-IP: 10.0.0.9",
        ];
        let answer = behind
            .guess(&format!("nobody{number}"), &[HTTPS, hidden[number % 4]])
            .await;
        assert_eq!(answer.status, 401, "{number}: {}", answer.text());
    }
    let words = "does not name the client";
    assert_eq!(
        behind.said(words).await,
        2,
        "127.0.0.2, and 10.0.0.9 behind it"
    );
    assert!(behind.gateway.log().contains("proxy_add_x_forwarded_for"));
    for number in 0..8 {
        let link = format!("/.portcullis/setup?token=wrong{number}");
        let fields = [HTTPS, "Accept: text/html"];
        let opened = behind.wire().await.get(&link, &fields).await;
        assert_ne!(opened.status, 429, "{number}");
    }
    // The limit by name holds.
    for _ in 0..10 {
        behind.guess("ada", &[HTTPS]).await;
    }
    assert_eq!(behind.guess("ada", &[HTTPS]).await.status, 429);
    let mut many = Vec::new();
    for _ in 0..6 {
        let mut wire = behind.wire().await;
        assert_eq!(wire.get("/static/a", &[HTTPS]).await.status, 200);
        many.push(wire);
    }
    assert_eq!(behind.said(words).await, 2);
}

#[tokio::test]
async fn places_are_counted_by_clients_and_not_by_the_proxies_that_bring_them() {
    let behind = Behind::a_proxy("connections_per_address = 2", "").await;
    let port = behind.gateway.port;
    let line = |address: &str| format!("PROXY TCP4 {address} 127.0.0.1 1 443\r\n");
    let mut open = Vec::new();
    for address in [
        "203.0.113.9",
        "203.0.113.9",
        "10.1.2.3",
        "10.1.2.3",
        "10.1.2.3",
        "203.0.113.10",
    ] {
        let wire = tls_after(PROXY, port, line(address).as_bytes()).await;
        open.push(wire.expect(address));
    }
    let more = tls_after(PROXY, port, line("203.0.113.9").as_bytes()).await;
    assert!(more.is_none(), "the third of one client");
    for _ in 0..4 {
        let unknown = tls_after(PROXY, port, b"PROXY UNKNOWN\r\n").await;
        open.push(unknown.expect("the proxy's own"));
    }
}

#[tokio::test]
async fn wrong_tokens_and_heads_that_a_proxy_brings_hold_nobody_up() {
    let behind = Behind::a_proxy("", "[throttle]\nper_address = \"3/15m\"").await;
    let management = behind.gateway.management_port;
    let bearer = "Authorization: Bearer pct_wrong";
    let wrong = async |from| {
        let mut wire = tls_after(from, management, b"").await.unwrap();
        wire.get("/v1/users", &[bearer]).await.status
    };
    for _ in 0..8 {
        assert_eq!(wrong(PROXY).await, 401);
    }
    for _ in 0..3 {
        assert_eq!(wrong(STRANGER).await, 401);
    }
    assert_eq!(wrong(STRANGER).await, 429);
    for _ in 0..30 {
        let mut wire = behind.wire().await;
        wire.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            .await;
        assert_eq!(wire.answer().await.status, 400);
        wire.closed_within(SOON).await;
    }
    let lines = eventually("every head to have its line", async || {
        let log = behind.gateway.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("127.0.0.2") && line.contains(" 400 "));
        let count = lines.count();
        (count >= 30).then_some(count)
    });
    assert_eq!(lines.await, 30, "more than one client's");
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_told_of_and_not_believed() {
    let behind = Behind::a_proxy("", "").await;
    let mut wire = tls_after(STRANGER, behind.gateway.port, b"").await.unwrap();
    for field in [
        "X: y",
        "X-Forwarded-For: 203.0.113.9",
        "Forwarded: for=1.2.3.4",
        "X-Real-IP: 1.2.3.4",
    ] {
        behind.panel.forget();
        let answer = wire
            .get("/static/a", &[field, "X-Forwarded-Proto: http"])
            .await;
        assert_eq!(answer.status, 200, "{field}");
        let seen = behind.panel.seen().pop().unwrap();
        assert_eq!(seen.all("x-forwarded-for"), [STRANGER], "{field}");
    }
    assert_eq!(behind.said("not one of trusted_proxies").await, 1);
}
