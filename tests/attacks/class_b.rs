//! B: who says so. Header fields and addresses.

use crate::arena::Turn;
use crate::arena::Who::{Nobody, Operator};
use crate::ask::{answered, ask};
use crate::attack::{Attack, Over, Seen, get, post, run};
use crate::support::SOON;

/// What the panel sees of the operator, whatever the request says.
const OLGA: Seen = Seen {
    line: "GET /page HTTP/1.1",
    has: &["x-forwarded-user: olga", "x-forwarded-role: operator"],
    lacks: &["mallory", "administrator"],
};

#[tokio::test]
async fn b1_identity_is_not_the_clients_to_say() {
    let forged: &[&[u8]] = &[
        b"X-Forwarded-User: mallory",
        b"x-forwarded-user: mallory",
        b"X-FORWARDED-USER: mallory",
        b"X-Forwarded-Role: administrator",
        b"X-Forwarded-Email: mallory@example.org",
        b"Remote-User: mallory",
        b"X-Remote-User: mallory",
    ];
    run(&[
        get("B1.1", "/page").by(Operator).with(forged).seen(OLGA),
        get("B1.2", "/static/a").with(forged).seen(Seen {
            line: "GET /static/a HTTP/1.1",
            has: &[],
            lacks: &["mallory", "administrator", "x-forwarded-user"],
        }),
        get("B1.3", "/page").with(forged),
    ])
    .await;
}

#[tokio::test]
async fn b2_names_that_fold_onto_the_gateways() {
    let spellings: Vec<Attack> = ["_", ".", "!", "~", "*"]
        .iter()
        .flat_map(|other| {
            [["-", other], [other, "-"], [other, other]]
                .map(|[first, second]| format!("X{first}Forwarded{second}User: mallory"))
        })
        .map(|line| {
            let field: &'static [u8] = line.leak().as_bytes();
            let fields: &'static [&'static [u8]] = vec![field].leak();
            get("B2", "/page").by(Operator).with(fields).seen(OLGA)
        })
        .collect();
    run(&spellings).await;
}

#[tokio::test]
async fn b3_connection_deletes_nothing_of_the_gateways() {
    let own = Seen {
        line: "GET /page HTTP/1.1",
        has: &[
            "x-forwarded-user: olga",
            "x-forwarded-proto: https",
            "host: localhost",
            "cookie: a=1",
        ],
        lacks: &["connection: close", "x-mine", "__host"],
    };
    let cookie: &[u8] = b"Cookie: a=1; __Host-Http-portcullis={cookie}";
    let fields: [&'static [&'static [u8]]; 4] = [
        &[b"Connection: close, x-forwarded-user, X-Forwarded-Proto, cookie, host, x-mine"],
        &[
            b"Connection: X-FORWARDED-USER",
            b"connection: X-Forwarded-Proto,X-Mine",
        ],
        &[b"CONNECTION: , ,x-forwarded-user\t,x-mine , ,"],
        &[b"Connection: keep-alive, Cookie, X-Mine, Authorization"],
    ];
    let attacks: Vec<Attack> = fields
        .into_iter()
        .map(|lines| {
            let all = [lines, &[b"X-Mine: 1", cookie]].concat();
            get("B3", "/page")
                .by(Operator)
                .with(all.leak())
                .over(Over::Http1)
                .seen(own)
        })
        .collect();
    run(&attacks).await;
}

#[tokio::test]
async fn b4_addresses_are_not_the_clients_to_say() {
    let own = Seen {
        line: "GET /page HTTP/1.1",
        has: &[
            "x-forwarded-for: 127.0.0.1",
            "forwarded: for=127.0.0.1;host=\"localhost\";proto=https",
        ],
        lacks: &["192.0.2.", "203.0.113."],
    };
    let many: &'static [u8] = format!("X-Forwarded-For: {}", "1.2.3.4,".repeat(5000))
        .leak()
        .as_bytes();
    let fields: [&'static [&'static [u8]]; 7] = [
        &[b"X-Forwarded-For: 192.0.2.1"],
        &[b"X-Forwarded-For: , , ,", b"X-Real-IP: 192.0.2.1"],
        &[
            b"X-Forwarded-For: 192.0.2.1:99999",
            b"True-Client-IP: 192.0.2.1",
        ],
        &[
            b"Forwarded: for=192.0.2.1;host=evil",
            b"CF-Connecting-IP: 192.0.2.1",
        ],
        &[
            b"X-Forwarded-For: evil, 203.0.113.9",
            b"X-Client-IP: 203.0.113.9",
        ],
        &[b"X-Forwarded-For: \xff", b"X-Cluster-Client-IP: 192.0.2.1"],
        vec![many].leak(),
    ];
    let mut attacks: Vec<Attack> = fields
        .into_iter()
        .map(|lines| get("B4.1", "/page").by(Operator).with(lines).seen(own))
        .collect();
    attacks.push(
        get("B4.2", "/page")
            .by(Operator)
            .with(&[b"X-Forwarded-For: \0"])
            .over(Over::Http1)
            .closes(400),
    );
    run(&attacks).await;
}

#[tokio::test]
async fn b5_the_proxy_protocol_is_not_spoken() {
    let arena = Turn::next().await;
    let long = [b"PROXY ".as_slice(), &[b'x'; 1_000_000]].concat();
    let request = "GET /static/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let version_1 = format!("PROXY TCP4 192.0.2.1 127.0.0.1 1 443\r\n{request}");
    let version_2 = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(), &[1; 12]].concat();
    for (id, bytes, status) in [
        ("B5.1", version_1.as_bytes(), 400),
        ("B5.2", &long, 431),
        ("B5.3", &version_2, 400),
    ] {
        let mut wire = arena.gateway.connect().await;
        let _ = wire.try_send(bytes).await;
        let answer = answered(&mut wire, false).await.expect(id);
        assert_eq!(answer.status, status, "{id}");
        wire.closed_within(SOON).await;
    }
    assert_eq!(arena.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn b6_links_are_made_of_the_configured_address() {
    let arena = Turn::next().await;
    let page = |fields: &'static [&'static [u8]]| get("B6", "/.portcullis/login").with(fields);
    let at_evil = page(&[]).host("evil");
    let answer = ask(&arena, &at_evil, Over::Http1, &[]).await.unwrap();
    assert_eq!(answer.status, 421, "B6.1");
    for attack in [
        page(&[b"X-Forwarded-Host: evil.example", b"X-Host: evil.example"]),
        page(&[
            b"Forwarded: host=evil.example;proto=http",
            b"X-Forwarded-Proto: http",
        ]),
        page(&[
            b"X-Original-Host: evil.example",
            b"Referer: https://evil.example/",
        ]),
    ] {
        for over in [Over::Http1, Over::Http2] {
            let answer = ask(&arena, &attack, over, &[]).await.unwrap();
            assert_eq!(answer.status, 200, "B6.2");
            let everything = format!("{:?}{}", answer.headers, answer.text());
            assert!(!everything.contains("evil.example"), "B6.2: {everything}");
        }
    }
}

#[tokio::test]
async fn b7_trailers_stay_behind() {
    let unseen = Seen {
        line: "POST /page HTTP/1.1",
        has: &["x-forwarded-user: olga"],
        lacks: &["mallory", "x-late", "trailer"],
    };
    let body =
        b"3\r\nabc\r\n0\r\nX-Forwarded-User: mallory\r\nX-Late: 1\r\nContent-Length: 5\r\n\r\n";
    let chunked = |id| {
        post(id, "/page")
            .by(Operator)
            .body(body)
            .over(Over::Http1)
            .seen(unseen)
    };
    run(&[
        chunked("B7.1").with(&[
            b"Transfer-Encoding: chunked",
            b"Trailer: X-Forwarded-User, X-Late, Content-Length",
        ]),
        chunked("B7.2").with(&[b"Transfer-Encoding: chunked"]),
        chunked("B7.3").with(&[b"Transfer-Encoding: chunked", b"TE: trailers"]),
    ])
    .await;
}

#[tokio::test]
async fn b8_the_panel_never_sees_the_gateways_cookie() {
    // That its token is nowhere in what the panel saw is checked after every attack of the suite.
    let left = |id, line| {
        get(id, "/page").by(Operator).seen(Seen {
            line: "GET /page HTTP/1.1",
            has: line,
            lacks: &["portcullis={", "host-portcullis", "http-portcullis"],
        })
    };
    let none = |id| left(id, &[]);
    run(&[
        left("B8.1", &["cookie: a=1; b=2"])
            .with(&[b"Cookie: a=1; __Host-Http-portcullis={cookie}; b=2"]),
        left("B8.2", &["cookie: a=1"]).with(&[
            b"Cookie: __Host-Http-portcullis={cookie}; a=1; __Host-Http-portcullis={cookie}",
        ]),
        left("B8.3", &["cookie: a=1; b=2"]).with(&[
            b"Cookie: a=1",
            b"Cookie: __Host-Http-portcullis={cookie}",
            b"Cookie: b=2",
        ]),
        none("B8.4").with(&[b"Cookie: __Host-Http-portcullis={cookie}"]),
        left("B8.5", &["cookie: a=1"])
            .with(&[b"Cookie: __Host-Http-portcullis={cookie};a=1;__Host-Http-portcullis-form=x"]),
        // Spellings that do not sign in, on a path that is open to anyone.
        get("B8.6", "/static/a")
            .by(Operator)
            .with(&[
                b"Cookie: =__Host-Http-portcullis={cookie}",
                b"Cookie: %5F%5FHost-Http-portcullis={cookie}; __HOST-HTTP-PORTCULLIS={cookie}",
                b"Cookie: __Host-portcullis={cookie}; __Http-portcullis={cookie}",
                b"Cookie: __Host-Http-portcullis ={cookie}; x=1",
            ])
            .seen(Seen {
                line: "GET /static/a HTTP/1.1",
                has: &["cookie: x=1"],
                lacks: &["portcullis={"],
            }),
    ])
    .await;
}

#[tokio::test]
async fn b9_management_tokens_are_for_management() {
    run(&[
        get("B9.1", "/page").with(&[b"Authorization: Bearer {management}"]),
        get("B9.2", "/page").by(Nobody).with(&[
            b"Authorization: Bearer {management}",
            b"X-Api-Key: {management}",
        ]),
        get("B9.3", "/page")
            .by(Operator)
            .with(&[b"Authorization: Bearer {management}"])
            .seen(Seen {
                line: "GET /page HTTP/1.1",
                has: &[],
                lacks: &["authorization", "pct_"],
            }),
        // The panel's own use of the field is not the gateway's business.
        get("B9.4", "/page")
            .by(Operator)
            .with(&[b"Authorization: Basic b2xnYTpvbGdh"])
            .seen(Seen {
                line: "GET /page HTTP/1.1",
                has: &["authorization: Basic b2xnYTpvbGdh"],
                lacks: &[],
            }),
    ])
    .await;
}
