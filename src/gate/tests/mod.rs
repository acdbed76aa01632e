//! Verdicts by table: session table and rules in, verdict out.

mod judged_again;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::request::{Builder, Parts};
use http::{Method, Request};

use super::{Asked, Gate, SignIn, Verdict};
use crate::clock::{Clock, Hand, Timestamp};
use crate::config::{
    Allow, Bounds, Config, ExternalUrl, IdentityHeaders, Panel, PanelHost, PathReading, Rule,
    SessionLimits, Upstream,
};
use crate::model::{
    ClientAddress, Generation, Role, SessionId, SessionRecord, User, UserId, UserName,
};
use crate::session::{Sessions, Token};
use crate::wire::Authority;

struct Porch {
    gate: Gate,
    sessions: Sessions,
    clock: Clock,
    hand: Hand,
}

impl Porch {
    fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let limits = SessionLimits {
            idle_timeout: Duration::from_secs(1800),
            lifetime: Duration::from_secs(43200),
            max_per_user: 10,
        };
        let sessions = Sessions::new(limits, clock.clone());
        let rule = |path: &str, methods: Option<Vec<Method>>, allow, reauthenticate| Rule {
            path: path.to_owned(),
            methods,
            allow,
            reauthenticate,
        };
        let panel = Panel {
            name: "panel".to_owned(),
            host: PanelHost::External,
            upstream: Upstream::Http(Authority::parse("127.0.0.1:1").unwrap()),
            upstream_ca: None,
            upstream_certificate: None,
            upstream_name: None,
            shares_origin: true,
            service_workers: false,
            bounds: Bounds::default(),
            identity: IdentityHeaders {
                user: None,
                role: None,
                email: None,
            },
            rules: vec![
                rule("/static/", None, Allow::Anyone, None),
                rule(
                    "/users/",
                    Some(vec![Method::POST]),
                    Allow::Roles(vec![Role::Administrator]),
                    None,
                ),
                rule(
                    "/danger/",
                    None,
                    Allow::SignedIn,
                    Some(Duration::from_secs(600)),
                ),
            ],
            path_reading: PathReading::default(),
        };
        let open = Panel {
            name: "named".to_owned(),
            host: PanelHost::Named("second.example".to_owned()),
            rules: vec![rule("/", None, Allow::Anyone, None)],
            ..panel.clone()
        };
        let panels = vec![Arc::new(panel), Arc::new(open)];
        let external = ExternalUrl::of("https://panel.example");
        Self {
            gate: Gate::new(external, panels, sessions.clone()),
            sessions,
            clock,
            hand,
        }
    }

    fn sign_in(&self, role: Role) -> String {
        let token = Token::random();
        let record = SessionRecord {
            token: token.hash(),
            id: SessionId::random(),
            user: UserId(1),
            generation: Generation::from_stored(1),
            created: self.clock.now(),
            last_seen: self.clock.now(),
            address: "192.0.2.1".parse().unwrap(),
            device: "curl".to_owned(),
            second_factor: None,
            good_until: None,
        };
        let user = User {
            id: UserId(1),
            name: UserName::parse("ada").unwrap(),
            role,
            email: None,
            disabled: false,
            generation: Generation::from_stored(1),
        };
        self.sessions.admit(&record, user).unwrap();
        format!("__Host-Http-portcullis={}", token.cookie_value())
    }

    fn verdict(&self, request: Builder) -> String {
        match self.gate.decide(
            &parts(request),
            ClientAddress::Known("192.0.2.1".parse().unwrap()),
            self.clock.now(),
            Asked::Nothing,
        ) {
            Verdict::Pass(permit) => match permit.session() {
                Some(session) => format!("pass {}", session.user().name),
                None => "pass nobody".to_owned(),
            },
            Verdict::Portal(_) => "portal".to_owned(),
            Verdict::SignIn(SignIn::NoSession, _, _) => "sign in".to_owned(),
            Verdict::SignIn(SignIn::TooLongAgo, _, _) => "sign in again".to_owned(),
            Verdict::AboutServer => "about server".to_owned(),
            Verdict::Unknown(_) => "unknown".to_owned(),
            Verdict::Refuse(problem, _) => problem.status().as_u16().to_string(),
        }
    }
}

fn parts(request: Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

fn get(path: &str) -> Builder {
    Request::get(path).header("host", "panel.example")
}

#[test]
fn strangers_reach_what_is_open_to_anyone_and_nothing_else() {
    let porch = Porch::new();
    for (path, verdict) in [
        ("/static/a.css", "pass nobody"),
        ("/static/../users/", "400"),
        ("/static//x", "sign in"),
        ("/", "sign in"),
        ("/users/?x=/static/", "sign in"),
        ("/.portcullis/login", "portal"),
        ("/.portcullis", "portal"),
        ("/.Portcullis/login", "404"),
        ("//.portcullis/login", "404"),
        ("/.portcullis%2flogin", "404"),
        ("/.portcullisx", "sign in"),
    ] {
        assert_eq!(porch.verdict(get(path)), verdict, "{path}");
    }
}

#[test]
fn roles_are_asked_for() {
    let porch = Porch::new();
    let post = |cookie: &str| {
        Request::post("/users/1/password")
            .header("host", "panel.example")
            .header("cookie", cookie)
    };
    let operator = porch.sign_in(Role::Operator);
    assert_eq!(porch.verdict(post(&operator)), "403");
    assert_eq!(
        porch.verdict(get("/users/1").header("cookie", &operator)),
        "pass ada"
    );
    let administrator = porch.sign_in(Role::Administrator);
    assert_eq!(porch.verdict(post(&administrator)), "pass ada");
}

#[test]
fn a_sign_in_too_long_ago_is_asked_for_again() {
    let porch = Porch::new();
    let cookie = porch.sign_in(Role::Operator);
    let danger = || get("/danger/x").header("cookie", &cookie);
    assert_eq!(porch.verdict(danger()), "pass ada");
    porch.hand.advance(Duration::from_secs(600));
    assert_eq!(porch.verdict(danger()), "sign in again");
    assert_eq!(
        porch.verdict(get("/").header("cookie", &cookie)),
        "pass ada"
    );
}

#[test]
fn a_session_ends_for_the_gate_the_moment_it_ends() {
    let porch = Porch::new();
    let cookie = porch.sign_in(Role::Operator);
    porch.sessions.raise(UserId(1), Generation::from_stored(2));
    assert_eq!(porch.verdict(get("/").header("cookie", &cookie)), "sign in");
}

#[test]
fn hosts_are_told_apart() {
    let porch = Porch::new();
    for (host, verdict) in [
        ("PANEL.example.", "pass nobody"),
        ("panel.example:443", "pass nobody"),
        ("panel.example:0443", "400"),
        ("panel.example@evil", "400"),
        ("evil", "421"),
        ("[::1]", "421"),
        ("", "400"),
    ] {
        let request = Request::get("/static/a").header("host", host);
        assert_eq!(porch.verdict(request), verdict, "{host}");
    }
    let absolute = |uri: &str| Request::get(uri).header("host", "panel.example");
    assert_eq!(porch.verdict(absolute("http://evil/static/a")), "421");
    assert_eq!(
        porch.verdict(absolute("https://panel.example/static/a")),
        "pass nobody"
    );
}

#[test]
fn websockets_are_opened_for_pages_of_this_host_only() {
    let porch = Porch::new();
    let cookie = porch.sign_in(Role::Operator);
    for (origin, verdict) in [
        (Some("https://panel.example"), "pass ada"),
        (Some("https://panel.example:443"), "pass ada"),
        (Some("http://panel.example"), "403"),
        (Some("https://panel.example:8443"), "403"),
        (Some("https://panel.example:80"), "403"),
        (Some("https://other.panel.example"), "403"),
        (Some("https://evil"), "403"),
        (Some("https://panel.example.evil"), "403"),
        (Some("null"), "403"),
        (None, "403"),
    ] {
        let mut request = get("/ws")
            .header("cookie", &cookie)
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "websocket");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        assert_eq!(porch.verdict(request), verdict, "{origin:?}");
    }
}

#[test]
fn what_a_browser_says_of_the_site_of_a_websocket_counts() {
    let porch = Porch::new();
    let cookie = porch.sign_in(Role::Operator);
    for (site, origin, length, verdict) in [
        (
            "same-origin",
            Some("https://panel.example"),
            None,
            "pass ada",
        ),
        ("same-origin", None, None, "pass ada"),
        ("same-site", Some("https://panel.example"), None, "403"),
        ("cross-site", Some("https://panel.example"), None, "403"),
        ("none", None, None, "403"),
        (
            "same-origin",
            None,
            Some(("content-length", "0")),
            "pass ada",
        ),
        ("same-origin", None, Some(("content-length", "5")), "400"),
        (
            "same-origin",
            None,
            Some(("transfer-encoding", "chunked")),
            "400",
        ),
    ] {
        let mut request = get("/ws")
            .header("cookie", &cookie)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-fetch-site", site);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if let Some((name, value)) = length {
            request = request.header(name, value);
        }
        assert_eq!(
            porch.verdict(request),
            verdict,
            "{site} {origin:?} {length:?}"
        );
    }
}

#[test]
fn the_server_itself_can_be_asked() {
    let porch = Porch::new();
    let star = Request::options("*").header("host", "panel.example");
    assert_eq!(porch.verdict(star), "about server");
    let star = Request::get("*").header("host", "panel.example");
    assert_eq!(porch.verdict(star), "400");
}

#[test]
fn each_host_has_its_panel_and_its_rules() {
    let porch = Porch::new();
    let cookie = porch.sign_in(Role::Operator);
    for (host, verdict, signed_in, portal) in [
        ("panel.example", "sign in", "pass ada", "portal"),
        ("second.example", "pass nobody", "pass ada", "portal"),
        ("Second.example.:8443", "pass nobody", "pass ada", "portal"),
        ("third.example", "421", "421", "421"),
        ("second.example.evil", "421", "421", "421"),
    ] {
        let ask = |path| Request::get(path).header("host", host);
        assert_eq!(porch.verdict(ask("/page")), verdict, "{host}");
        let known = ask("/page").header("cookie", &cookie);
        assert_eq!(porch.verdict(known), signed_in, "{host}");
        assert_eq!(porch.verdict(ask("/.portcullis/login")), portal, "{host}");
    }
}

#[test]
fn a_portal_with_a_host_of_its_own_is_there_alone() {
    let mut porch = Porch::new();
    let text = "[gateway]\nexternal_url = \"https://panel.example\"\nportal_host = \"Gate.example\"\n\
                [[panel]]\nupstream = \"http://127.0.0.1:1\"";
    let config = Config::parse(text, Path::new("p.toml")).unwrap();
    let portal = config.gateway.portal_apart();
    porch.gate = porch.gate.with_portal_at(portal);
    let cookie = porch.sign_in(Role::Operator);
    for (host, path, verdict) in [
        ("gate.example", "/.portcullis/login", "portal"),
        ("GATE.example.:8443", "/", "portal"),
        ("gate.example", "/page", "portal"),
        ("panel.example", "/.portcullis/login", "403"),
        ("panel.example", "/.portcullis/users/ada", "403"),
        ("panel.example", "/.portcullis", "403"),
        ("panel.example", "/.portcullis/assets/x.css", "portal"),
        ("panel.example", "/.portcullis/assets/../login", "400"),
        ("panel.example", "/.portcullis/assetsx", "403"),
        ("panel.example", "/static/a", "pass nobody"),
        ("panel.example", "/page", "401"),
        ("second.example", "/.portcullis/login", "403"),
        ("third.example", "/.portcullis/login", "421"),
    ] {
        let ask = Request::get(path).header("host", host);
        assert_eq!(porch.verdict(ask), verdict, "{host}{path}");
    }
    let known = get("/page").header("cookie", cookie);
    assert_eq!(porch.verdict(known), "pass ada");
}

#[test]
fn a_worker_whose_scope_could_reach_the_portal_is_refused() {
    let mut porch = Porch::new();
    let worker = |path| get(path).header("service-worker", "script");
    for (path, verdict) in [
        ("/sw.js", "403"),
        ("/sw.js?x=/a/", "403"),
        ("/static/sw.js", "pass nobody"),
        ("/app/sw.js", "sign in"),
        ("/.portcullis/sw.js", "portal"),
    ] {
        assert_eq!(porch.verdict(worker(path)), verdict, "{path}");
    }
    let other_way = get("/sw.js").header("sec-fetch-dest", "serviceworker");
    assert_eq!(porch.verdict(other_way), "403");
    assert_eq!(
        porch.verdict(get("/sw.js")),
        "sign in",
        "a script as any other"
    );
    let panel = Panel {
        service_workers: true,
        shares_origin: false,
        ..Panel::clone(&porch.gate.panels[0])
    };
    porch.gate.panels[0] = Arc::new(panel);
    assert_eq!(porch.verdict(worker("/sw.js")), "sign in");
}

#[test]
fn a_panel_for_any_host_comes_last() {
    let mut porch = Porch::new();
    let any = Panel {
        name: "any".to_owned(),
        host: PanelHost::Any,
        ..Panel::clone(&porch.gate.panels[0])
    };
    porch.gate.panels.insert(0, Arc::new(any));
    for (host, name) in [
        ("panel.example", "panel"),
        ("second.example", "named"),
        ("third.example", "any"),
    ] {
        let panel = porch.gate.panel_of(host).unwrap();
        assert_eq!(panel.name, name, "{host}");
    }
}

/// What a request puts somewhere else is judged as if it were asked for there.
#[test]
fn a_destination_is_a_target_too() {
    let porch = Porch::new();
    let cookie = porch.sign_in(Role::Operator);
    let mut gate_rules = Panel::clone(&porch.gate.panels[0]);
    gate_rules.rules[1].methods = Some(vec![Method::PUT]);
    let mut porch = porch;
    porch.gate.panels[0] = Arc::new(gate_rules);
    for (destination, verdict) in [
        ("https://panel.example/files/b", "pass ada"),
        ("https://PANEL.example.:443/files/b", "pass ada"),
        ("/files/b", "pass ada"),
        ("https://panel.example/users/b", "403"),
        ("https://panel.example/U%73ers/b", "403"),
        ("/users.json", "403"),
        ("https://second.example/files/b", "403"),
        ("https://panel.example:8443/files/b", "403"),
        ("https://evil/files/b", "403"),
        ("http://panel.example/files/b", "403"),
        ("https://panel.example@evil/files/b", "400"),
        ("https://panel.example/a/../b", "400"),
        ("https://panel.example/.portcullis/x", "403"),
        ("", "400"),
    ] {
        for method in ["MOVE", "COPY", "move", "X"] {
            let request = Request::builder()
                .method(method)
                .uri("/files/a")
                .header("host", "panel.example")
                .header("cookie", &cookie)
                .header("destination", destination);
            assert_eq!(porch.verdict(request), verdict, "{method} {destination:?}");
        }
    }
}
