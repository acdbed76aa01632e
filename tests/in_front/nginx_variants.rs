//! Real nginx, one and two in a row, with each of the fields that people configure, with none, and with
//! those that make a circle.

use crate::behind::Behind;
use crate::proxy::{Proxy, folder};
use crate::support::free_port;
use crate::visitor::{Visitor, guesses_stop_one};

const ONE: &str = "127.0.0.3";
const OTHER: &str = "127.0.0.4";

const APPENDED: &str = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
const SCHEME: &str = "proxy_set_header X-Forwarded-Proto $scheme;";
const SCHEME_PASSED_ON: &str = "proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;";
const SCHEMES: &str = "proxy_set_header X-Forwarded-Proto \"$http_x_forwarded_proto, $scheme\";";

struct Way {
    behind: Behind,
    _proxies: Vec<Proxy>,
    https: u16,
    http: u16,
}

/// A server of nginx that passes on what it gets.
fn server(listen: &str, to: u16, lines: &str) -> String {
    format!(
        "server {{ listen {listen}; location / {{ proxy_pass http://127.0.0.1:{to}; \
         proxy_http_version 1.1; proxy_set_header Host $http_host; {lines} }} }}\n"
    )
}

impl Way {
    /// With the lines of each nginx, the outer one first.
    async fn through(lines: &[&str]) -> Self {
        Self::with_guesses(30, lines).await
    }

    async fn with_guesses(guesses: usize, lines: &[&str]) -> Self {
        let gateway = free_port();
        let section = format!(
            "[gateway]\nlisten = []\nlisten_plain = [\"127.0.0.1:{gateway}\"]\n\
             trusted_proxies = [\"127.0.0.1\"]\nexternal_url = \"https://panel.example.org\"\n"
        );
        let behind = Behind::start(&section, gateway, guesses).await;
        let (http, https) = (free_port(), free_port());
        let mut proxies = Vec::new();
        let mut to = gateway;
        for lines in lines[1..].iter().rev() {
            let port = free_port();
            let server = server(&port.to_string(), to, lines);
            proxies.push(Proxy::nginx(folder(), &server, port).await);
            to = port;
        }
        let folder = folder();
        let path = folder.path().display();
        let tls =
            format!("{https} ssl; ssl_certificate {path}/pem; ssl_certificate_key {path}/key");
        let servers = server(&tls, to, lines[0]) + &server(&http.to_string(), to, lines[0]);
        proxies.push(Proxy::nginx(folder, &servers, https).await);
        Self {
            behind,
            _proxies: proxies,
            https,
            http,
        }
    }

    fn visitor(&self) -> Visitor {
        Visitor::at(ONE, self.https)
    }

    /// How many redirects a program follows that begins over plain HTTP, and the last status.
    async fn followed(&self) -> (usize, u16) {
        let mut answer = Visitor::plain(ONE, self.http).get("/static/a", &[]).await;
        let mut led = 0;
        while answer.status == 308 && led < 30 {
            let leads = answer.header("location");
            assert_eq!(leads, Some("https://panel.example.org/static/a"));
            led += 1;
            answer = self.visitor().get("/static/a", &[]).await;
        }
        (led, answer.status)
    }
}

#[tokio::test]
async fn the_client_is_known_by_each_field_and_through_two() {
    const REAL_IP: &str = "proxy_set_header X-Real-IP $remote_addr;";
    const ELEMENT: &str = "proxy_set_header Forwarded \"for=$remote_addr;proto=$scheme\";";
    const ELEMENTS: &str =
        "proxy_set_header Forwarded \"$http_forwarded, for=$remote_addr;proto=$scheme\";";
    let both = |one: &str, other: &str| format!("{one} {other}");
    let appended = both(APPENDED, SCHEME);
    for lines in [
        &[appended.as_str()][..],
        &[&both(REAL_IP, SCHEME)],
        &[ELEMENT],
        &[&appended, &both(APPENDED, SCHEME_PASSED_ON)],
        &[&appended, &both(APPENDED, SCHEMES)],
        &[&appended, &appended.replace(SCHEME, "")],
        &[&both(REAL_IP, SCHEME), ""],
        &[ELEMENT, ELEMENTS],
        // The first in one form, the second in the other.
        &[ELEMENT, APPENDED],
        &[
            &both(REAL_IP, &appended),
            &both(REAL_IP, &both(APPENDED, SCHEMES)),
        ],
    ] {
        let way = Way::through(lines).await;
        let answer = way.visitor().get("/static/a", &[]).await;
        assert_eq!(answer.status, 200, "{lines:?}: {}", answer.text());
        assert_eq!(way.behind.told("x-forwarded-for"), ONE, "{lines:?}");
        assert_eq!(way.followed().await, (1, 200), "{lines:?}");
        assert!(
            !way.behind.log().contains("WARN"),
            "{lines:?}: {}",
            way.behind.log()
        );
    }
}

#[tokio::test]
async fn a_proxy_that_calls_all_of_it_http_makes_no_circle() {
    let appended = format!("{APPENDED} {SCHEME}");
    let way = Way::through(&[&appended, &appended]).await;
    let (led, last) = way.followed().await;
    assert_eq!((led, last), (5, 403));
    let sentence = way.visitor().get("/static/a", &["Accept: text/html"]).await;
    assert!(
        sentence.text().contains("X-Forwarded-Proto"),
        "{}",
        sentence.text()
    );
    // What a browser sends over TLS alone shows it at once.
    let browser = ["Sec-Fetch-Mode: navigate", "Accept: text/html"];
    let fresh = Way::through(&[&appended, &appended]).await;
    assert_eq!(fresh.visitor().get("/static/a", &browser).await.status, 403);
    // Schemes are listed and addresses are not: it may have been TLS, so there is no redirect.
    let client = "proxy_set_header X-Forwarded-For $remote_addr;";
    let outer = format!("{client} {SCHEME}");
    let passed_on = "proxy_set_header X-Forwarded-For $http_x_forwarded_for;";
    let way = Way::through(&[&outer, &format!("{passed_on} {SCHEMES}")]).await;
    assert_eq!(way.visitor().get("/static/a", &[]).await.status, 403);
}

#[tokio::test]
async fn thirty_guesses_of_one_person_stop_nobody_else() {
    let way = Way::through(&[&format!("{APPENDED} {SCHEME}"), APPENDED]).await;
    guesses_stop_one(30, way.visitor(), Visitor::at(OTHER, way.https)).await;
    // The log has warnings of the failed sign-ins, and no other.
    let said = way.behind.log();
    let is_of_the_proxy = |line: &str| line.contains("WARN") && !line.contains("failed sign-in");
    assert!(!said.lines().any(is_of_the_proxy), "{said}");
    // Without a name for the client they are not stopped by address, and that is said once.
    let silent = Way::with_guesses(3, &[SCHEME]).await;
    for number in 0..5 {
        let name = format!("nobody{number}");
        let guess = silent.visitor().sign_in(&name, "wrong as can be").await;
        assert_eq!(guess.status, 401, "{number}");
    }
    Visitor::at(OTHER, silent.https).session().await;
    let said = silent.behind.log();
    assert_eq!(
        said.matches("does not name the client").count(),
        1,
        "{said}"
    );
}

#[tokio::test]
async fn a_proxy_that_says_nothing_at_all_is_told_of() {
    let way = Way::through(&[""]).await;
    assert_eq!(way.visitor().get("/static/a", &[]).await.status, 200);
    // Browsers show TLS by themselves; the rest is told which field to set.
    way.visitor().session().await;
    let hidden = ["Accept: text/html", "Sec-Fetch-Mode: navigate"];
    assert_eq!(way.visitor().get("/echo", &hidden).await.status, 303);
    let said = way.behind.log();
    assert_eq!(
        said.matches("does not name the client").count(),
        1,
        "{said}"
    );
}
