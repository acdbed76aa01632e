//! A: which resource is asked for.

use crate::arena::{Arena, Turn, Who::Operator};
use crate::ask::answer_to_raw_path;
use crate::attack::{Attack, Over, Seen, get, post, request, run};

#[tokio::test]
async fn a1_dot_segments() {
    run(&[
        get("A1.1", "/static/../users/").is(400),
        get("A1.2", "/static/%2e%2e/users/").is(400),
        get("A1.3", "/static/.%2e/users/").is(400),
        get("A1.4", "/static/%2E./users/").is(400),
        get("A1.5", "/static/..%2fusers/").is(400),
        get("A1.6", "/static/%2e%2e%2fusers/").is(400),
        get("A1.7", "/static/./../users/").is(400),
        get("A1.8", "/static/x/..").is(400),
        get("A1.9", "/static/../users/").by(Operator).is(400),
        post("A1.10", "/static/../users/1/password")
            .by(Operator)
            .is(400),
        // Dots that are data.
        get("A1.11", "/static/...").reaches("GET /static/... HTTP/1.1"),
        get("A1.12", "/static/..a").reaches("GET /static/..a HTTP/1.1"),
    ])
    .await;
}

#[tokio::test]
async fn a2_encoded_slashes_and_backslashes() {
    run(&[
        get("A2.1", "/static/x%5c..%5cusers/").is(400),
        get("A2.2", "/static/x%5C..%5Cusers/").is(400),
        get("A2.3", "/static\\users").is(400),
        get("A2.4", "/static%2fa.css"),
        get("A2.5", "/static/%2fusers/"),
        get("A2.6", "/api/queues/%2F/q")
            .by(Operator)
            .reaches("GET /api/queues/%2F/q HTTP/1.1"),
        post("A2.7", "/users%2f1").by(Operator).is(403),
        post("A2.8", "/users%2F1/password").by(Operator).is(403),
    ])
    .await;
}

#[tokio::test]
async fn a3_double_encoding() {
    run(&[
        get("A3.1", "/%252e%252e/users/")
            .by(Operator)
            .reaches("GET /%252e%252e/users/ HTTP/1.1"),
        get("A3.2", "/users%252f1"),
        get("A3.3", "/static/%25%32%65/")
            .by(Operator)
            .reaches("GET /static/%25%32%65/ HTTP/1.1"),
    ])
    .await;
}

#[tokio::test]
async fn a4_path_parameters() {
    run(&[
        get("A4.1", "/static/;/users/").is(400),
        get("A4.2", "/static/..;/users/").is(400),
        get("A4.3", "/static/..%3b/users/").is(400),
        get("A4.4", "/static/%3b/users/").is(400),
        get("A4.5", "/static/a;b"),
        get("A4.6", "/static;x/a"),
        post("A4.7", "/users;x=1/1/password").by(Operator).is(403),
        post("A4.8", "/users%3bx=1/1/password").by(Operator).is(403),
    ])
    .await;
}

#[tokio::test]
async fn a5_empty_segments() {
    run(&[
        get("A5.1", "/static//a.css"),
        get("A5.2", "//static/a.css"),
        post("A5.3", "//users/1/password").by(Operator).is(403),
        post("A5.4", "/users//1/password").by(Operator).is(403),
        post("A5.5", "///users///1///password").by(Operator).is(403),
    ])
    .await;
}

#[tokio::test]
async fn a6_fragments() {
    run(&[
        get("A6.1", "/static/x#/../users/")
            .over(Over::Http1)
            .closes(400),
        get("A6.2", "/#").over(Over::Http1).closes(400),
        get("A6.3", "http://localhost/#/static/")
            .over(Over::Http1)
            .closes(400),
        get("A6.4", "/users/%23/static/"),
        get("A6.5", "/static/%23/../users/").is(400),
    ])
    .await;
}

/// The HTTP/2 library cuts a target at `#` before anybody sees it. So it can't be refused there; but
/// what is judged is what is forwarded, and nothing behind the `#` is either.
#[tokio::test]
async fn a6_fragments_over_http2() {
    let arena = Turn::next().await;
    let is_answered = async |arena: &Arena, path: &[u8]| {
        arena.panel.forget();
        answer_to_raw_path(arena, path).await
    };
    assert!(is_answered(&arena, b"/users/#/static/").await);
    assert!(is_answered(&arena, b"/users/#/../static/a").await);
    assert_eq!(arena.heads(), Vec::<String>::new());
    assert!(is_answered(&arena, b"/static/x#/../../users/").await);
    let lines: Vec<String> = arena
        .heads()
        .iter()
        .filter_map(|head| head.lines().next().map(str::to_owned))
        .collect();
    assert_eq!(lines, ["GET /static/x HTTP/1.1"]);
    // Other targets that are none are broken off.
    for path in [
        b"static/x".as_slice(),
        b"/static/ x",
        b"/static/\x7f",
        b"/static/\xc0\xaf",
    ] {
        assert!(
            !is_answered(&arena, path).await,
            "{:?}",
            path.escape_ascii().to_string()
        );
        assert_eq!(arena.heads(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a7_queries_are_no_paths() {
    run(&[
        get("A7.1", "/users/?x=/static/"),
        get("A7.2", "/users/?/static/a.css"),
        get("A7.3", "/?/../static/"),
        get("A7.4", "/static/a?x=/../users/").reaches("GET /static/a?x=/../users/ HTTP/1.1"),
        get("A7.5", "/static/a?%zz%00").reaches("GET /static/a?%zz%00 HTTP/1.1"),
        get("A7.6", "/static?a=/"),
    ])
    .await;
}

#[tokio::test]
async fn a8_controls_and_broken_encodings() {
    run(&[
        get("A8.1", "/static/%00/../users/").is(400),
        get("A8.2", "/static/%00").is(400),
        get("A8.3", "/static/%0d%0aX:y").is(400),
        get("A8.4", "/static/%7f").is(400),
        get("A8.5", "/%+1").is(400),
        get("A8.6", "/static/%c0%ae%c0%ae/users/").is(400),
        get("A8.7", "/static/%e0%80%af").is(400),
        get("A8.8", "/static/%zz").is(400),
        get("A8.9", "/static/%").is(400),
        get("A8.10", "/static/%2").is(400),
        get("A8.11", "")
            .bytes(b"/static/\xc0\xaf")
            .over(Over::Http1)
            .closes(400),
        get("A8.12", "")
            .bytes(b"/static/\0")
            .over(Over::Http1)
            .closes(400),
        get("A8.13", "")
            .bytes(b"/static/\x7f")
            .over(Over::Http1)
            .closes(400),
        get("A8.14", "")
            .bytes(b"/static/\tx")
            .over(Over::Http1)
            .closes(400),
        // Full-width dots are letters like any other.
        get("A8.15", "/%ef%bc%8e%ef%bc%8e/users/")
            .by(Operator)
            .reaches("GET /%ef%bc%8e%ef%bc%8e/users/ HTTP/1.1"),
    ])
    .await;
}

#[tokio::test]
async fn a9_letter_case() {
    run(&[
        get("A9.1", "/STATIC/a"),
        get("A9.2", "/Static/a"),
        post("A9.3", "/USERS/1/password").by(Operator).is(403),
        post("A9.4", "/uSeRs/1/password").by(Operator).is(403),
        post("A9.5", "/u%53ers/1/password").by(Operator).is(403),
        get("A9.6", "/.PORTCULLIS/login").is(404),
        get("A9.7", "/%2eportcullis/login").is(404),
        get("A9.8", "//.portcullis/login").is(404),
    ])
    .await;
}

/// Names by which somebody tells a panel, or a careless gateway, to read another request.
const REWRITING: &[&[u8]] = &[
    b"X-Original-URL: /users/1",
    b"X-Rewrite-URL: /users/1",
    b"X-Original-URI: /users/1",
    b"X-Forwarded-Uri: /users/1",
    b"X-Forwarded-Prefix: /users/1",
    b"X-Forwarded-Path: /users/1",
    b"X-Forwarded-Server: /users/1",
    b"X-Forwarded-Method: /users/1",
    b"X-Accel-Redirect: /users/1",
    b"X-Sendfile: /users/1",
    b"X-HTTP-DestinationURL: /users/1",
    b"X-Envoy-Original-Path: /users/1",
];

#[tokio::test]
async fn a10_fields_that_rewrite_the_target() {
    let public: [&[&[u8]]; 8] = [
        &[b"X-Original-URL: /static/a"],
        &[b"X-Rewrite-URL: /static/a"],
        &[b"X-Original-URI: /static/a"],
        &[b"X-Forwarded-Uri: /static/a"],
        &[b"X-Forwarded-Prefix: /static"],
        &[b"X-Accel-Redirect: /static/a"],
        &[b"X-HTTP-DestinationURL: /static/a"],
        &[b"X-Envoy-Original-Path: /static/a"],
    ];
    let strangers: Vec<Attack> = public
        .iter()
        .map(|&fields| get("A10.1", "/users/").with(fields))
        .collect();
    run(&strangers).await;
    run(&[get("A10.2", "/").by(Operator).with(REWRITING).seen(Seen {
        line: "GET / HTTP/1.1",
        has: &["host: localhost"],
        lacks: &["/users/1"],
    })])
    .await;
}

/// Longer than any method.
const LONG_METHOD: &str = match std::str::from_utf8(&[b'A'; 20_000]) {
    Ok(text) => text,
    Err(_) => "",
};

#[tokio::test]
async fn a11_methods() {
    run(&[
        get("A11.1", "/users/1/password")
            .by(Operator)
            .with(&[
                b"X-HTTP-Method-Override: POST",
                b"X-HTTP-Method: POST",
                b"X-Method-Override: POST",
            ])
            .seen(Seen {
                line: "GET /users/1/password HTTP/1.1",
                has: &[],
                lacks: &["override", "x-http-method"],
            }),
        // Any method passes for a live session; a rule for POST is one for Post too.
        request("A11.2", "get", "/static/a").is(401),
        request("A11.3", "Post", "/users/1").by(Operator).is(403),
        request("A11.4", "TRACE", "/static/a").is(405),
        request("A11.5", "TRACK", "/static/a").is(405),
        request("A11.6", "PROPFIND", "/static/a").is(401),
        request("A11.7", LONG_METHOD, "/static/a")
            .over(Over::Http1)
            .is(501),
        request("A11.8", "CONNECT", "localhost:443")
            .over(Over::Http1)
            .closes(501),
        request("A11.9", "CONNECT", "/static/a")
            .over(Over::Http1)
            .closes(501),
        request("A11.10", "HEAD", "/static/a").reaches("HEAD /static/a HTTP/1.1"),
        request("A11.11", "DELETE", "/users/1")
            .by(Operator)
            .reaches("DELETE /users/1 HTTP/1.1"),
        request("A11.12", "DELETE", "/anything"),
        request("A11.13", "track", "/page").by(Operator).is(405),
        request("A11.14", "PROPFIND", "/files/")
            .by(Operator)
            .reaches("PROPFIND /files/ HTTP/1.1"),
        request("A11.15", "VERSION-CONTROL", "/x")
            .by(Operator)
            .reaches("VERSION-CONTROL /x HTTP/1.1"),
        request("A11.16", "pOsT", "/users%2f1").by(Operator).is(403),
    ])
    .await;
}

#[tokio::test]
async fn a16_destinations_are_targets() {
    let to = |id, fields: &'static [&'static [u8]]| {
        request(id, "MOVE", "/files/a").by(Operator).with(fields)
    };
    run(&[
        to("A16.20", &[b"Destination: /files/b%20c?d"]).seen(Seen {
            line: "MOVE /files/a HTTP/1.1",
            has: &[],
            lacks: &["https://evil"],
        }),
        to("A16.21", &[b"Destination: https://evil.example/files/b"]).is(403),
        to("A16.22", &[b"Destination: http://evil.example/files/b"]).is(403),
        to("A16.23", &[b"Destination: /files/../users/b"]).is(400),
        to(
            "A16.24",
            &[b"Destination: /files/b", b"Destination: /files/c"],
        )
        .is(400),
        to("A16.25", &[b"Destination: //evil.example/files/b"]).is(400),
        to("A16.26", &[b"Destination: /.portcullis/users"]).is(403),
        to("A16.27", &[b"Destination: /%2eportcullis/users"]).is(403),
        to("A16.28", &[b"Destination: files/b"]).is(400),
        to("A16.29", &[b"Destination: /files/b#c"]).is(400),
    ])
    .await;
}

#[tokio::test]
async fn a15_spellings_that_some_panel_takes_for_a_closed_path() {
    run(&[
        post("A15.1", "/u%C5%BFers/1").by(Operator).is(403),
        post("A15.2", "/users%3fx").by(Operator).is(403),
        post("A15.3", "/users.json").by(Operator).is(403),
        post("A15.4", "/users%20/x").by(Operator).is(403),
        post("A15.5", "/users./x").by(Operator).is(403),
        post("A15.6", "/%EF%BD%95sers/1").by(Operator).is(403),
        post("A15.7", "/%2575sers/1").by(Operator).is(403),
        post("A15.8", "/users::$DATA").by(Operator).is(403),
        post("A15.9", "/users%252f1").by(Operator).is(403),
        post("A15.10", "/users%2500.css").by(Operator).is(403),
        post("A15.11", "/x%252f..%252fusers").by(Operator).is(403),
        post("A15.12", "/%2525252575sers/1").by(Operator).is(403),
        post("A15.13", "//x/users/1").by(Operator).is(403),
        post("A15.14", "/userlist.json")
            .by(Operator)
            .reaches("POST /userlist.json HTTP/1.1"),
        get("A15.15", "/static/%252e%252e/users/"),
    ])
    .await;
}

#[tokio::test]
async fn a12_user_agents_open_nothing() {
    run(&[
        get("A12.1", "/users/").with(&[b"User-Agent: kube-probe/1.29"]),
        get("A12.2", "/users/").with(&[b"User-Agent: GoogleHC/1.0"]),
        get("A12.3", "/users/").with(&[b"User-Agent: ELB-HealthChecker/2.0"]),
        get("A12.4", "/healthz"),
        get("A12.5", "/ping"),
        get("A12.6", "/v1/sessions").with(&[b"Authorization: Bearer pct_x"]),
    ])
    .await;
}

#[tokio::test]
async fn a13_what_cannot_be_read_does_not_pass() {
    run(&[
        get("A13.1", "/").with(&[b"Cookie: \xff\xfe"]),
        get("A13.2", "/").with(&[b"Cookie: __Host-Http-portcullis=\xff\xfe"]),
        get("A13.3", "/").with(&[b"X-Forwarded-For: \xff\xfe"]),
        get("A13.4", "/").with(&[b"User-Agent: \xff\xfe"]),
        get("A13.5", "/").with(&[b"Authorization: \xff\xfe"]),
        get("A13.6", "/").with(&[b"Origin: \xff\xfe", b"Referer: \xff\xfe"]),
        get("A13.7", "/").with(&[b"Sec-Fetch-Site: \xff\xfe", b"Forwarded: \xff\xfe"]),
        get("A13.8", "/").with(&[b"Expect: \xff\xfe"]).is(417),
        get("A13.9", "/").with(&[b"X-Forwarded-For: , , ,", b"Forwarded: for=,;;"]),
        get("A13.10", "/").with(&[b"Cookie: =;;=;__Host-Http-portcullis"]),
        get("A13.11", "/").with(&[b"Accept: \xff\xfe", b"Accept-Language: \xff\xfe"]),
        get("A13.12", "/static/a")
            .with(&[b"Host: \xff\xfe"])
            .over(Over::Http1)
            .closes(400),
    ])
    .await;
}

#[tokio::test]
async fn a14_hosts() {
    let page = |id| get(id, "/static/a");
    run(&[
        page("A14.1")
            .host("LOCALHOST.")
            .reaches("GET /static/a HTTP/1.1"),
        page("A16.2")
            .host("localhost:443")
            .reaches("GET /static/a HTTP/1.1"),
        page("A14.3").host("localhost:0443").is(400),
        page("A14.4")
            .host("localhost@evil")
            .over(Over::Http1)
            .is(400),
        page("A14.5")
            .host("evil@localhost")
            .over(Over::Http1)
            .is(400),
        page("A14.6").host("evil").is(421),
        page("A14.7").host("[::1]").is(421),
        page("A14.8").host("").over(Over::Http1).is(400),
        page("A14.9").host("localhost.evil").is(421),
        page("A14.10").host("evillocalhost").is(421),
        page("A14.11")
            .host("localhost:443:443")
            .over(Over::Http1)
            .is(400),
        page("A14.12").host("a/../b").over(Over::Http1).is(400),
        page("A14.13")
            .host("localhost, evil")
            .over(Over::Http1)
            .is(400),
        page("A14.14")
            .with(&[b"Host: localhost"])
            .over(Over::Http1)
            .closes(400),
        page("A14.15")
            .with(&[b"Host: evil"])
            .over(Over::Http2)
            .is(400),
        page("A14.16").host("127.0.0.1").is(421),
        // The authority of the target wins over the field (RFC 9112 §3.2.2).
        get("A14.17", "http://evil/static/a")
            .over(Over::Http1)
            .is(421),
        get("A14.18", "https://localhost/static/a")
            .host("evil")
            .over(Over::Http1)
            .seen(Seen {
                line: "GET /static/a HTTP/1.1",
                has: &["host: localhost"],
                lacks: &["evil"],
            }),
        get("A14.19", "http://localhost@evil/static/a")
            .over(Over::Http1)
            .closes(400),
        get("A16.20", "static/a").over(Over::Http1).closes(400),
    ])
    .await;
}
