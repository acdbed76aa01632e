//! The panel is not trusted: what a script, a frame or a worker of one of its pages asks the portal for,
//! which lives on the same origin. In Chromium: `tests/browser/the_panels_script.rs`.

use crate::arena::Turn;
use crate::ask::answered;
use crate::support::http1::{Answer, NAVIGATION};
use crate::support::person::{PASSWORD, Person, csrf_of};

/// How a browser asks for something that no person opens: the fields, one a line.
const ASKED: &[&str] = &[
    "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: same-origin\r\nSec-Fetch-Site: same-origin",
    // A worker that relays a navigation.
    "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: iframe\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: frame\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: object\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: embed\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: fencedframe\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: script\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: worker\r\nSec-Fetch-Mode: same-origin\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: serviceworker\r\nSec-Fetch-Mode: same-origin\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin",
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate",
    "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin",
    // Twice.
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: navigate\r\n\
     Sec-Fetch-Site: same-origin",
    // Ahead of a person, or into the hands of a worker.
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\
     Sec-Purpose: prefetch;prerender",
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nPurpose: prefetch",
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nX-Moz: prefetch",
    "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\
     Service-Worker-Navigation-Preload: true",
    // A browser that says nothing.
    "X-Nothing: to-say",
];

async fn asks(person: &Person, method: &str, target: &str, said: &str, form: &str) -> Answer {
    let mut wire = person.connect().await;
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{said}\r\n");
    request += &format!("{}\r\nAccept: text/html\r\n", person.cookie());
    if method == "POST" {
        request += "Content-Type: application/x-www-form-urlencoded\r\n";
        request += &format!("Content-Length: {}\r\n", form.len());
    }
    wire.send(format!("{request}\r\n{form}")).await;
    answered(&mut wire, method == "HEAD").await.unwrap()
}

#[tokio::test]
async fn pages_and_posts_answer_a_navigation_only() {
    let arena = Turn::next().await;
    let mut root = arena.gateway.person("ingrid", "administrator").await;
    arena.gateway.person("ivo", "operator").await;
    let opened = NAVIGATION.trim_end();
    let page = asks(&root, "GET", "/.portcullis/users", opened, "").await;
    assert_eq!(page.status, 200, "what a person opens: {}", page.text());
    let csrf = csrf_of(&page.text());
    let add = format!("csrf={csrf}&name=mallory&role=administrator");
    let set = format!("csrf={csrf}&new_password={}", PASSWORD.replace(' ', "+"));
    let bare = format!("csrf={csrf}");
    for said in ASKED {
        for (method, target, form) in [
            ("GET", "/.portcullis/users", ""),
            ("GET", "/.portcullis/users/ivo", ""),
            ("HEAD", "/.portcullis/users", ""),
            ("GET", "/.portcullis/login", ""),
            ("GET", "/.portcullis/setup?token=x", ""),
            ("GET", "/.portcullis/account", ""),
            ("GET", "/.portcullis/nowhere", ""),
            ("POST", "/.portcullis/users", add.as_str()),
            ("POST", "/.portcullis/users/ivo/password", &set),
            ("POST", "/.portcullis/users/ivo/reset-second-factor", &bare),
            ("POST", "/.portcullis/users/ivo/logout-all", &bare),
            ("POST", "/.portcullis/account/logout-all", &bare),
            ("POST", "/.portcullis/logout", &bare),
            ("PUT", "/.portcullis/users", ""),
        ] {
            let answer = asks(&root, method, target, said, form).await;
            assert_eq!(answer.status, 403, "{method} {target}: {said}");
            assert_eq!(
                answer.all("set-cookie"),
                [""; 0],
                "{method} {target}: {said}"
            );
            assert!(!answer.text().contains(&csrf), "{method} {target}: {said}");
            let word = if said.contains("Sec-Fetch") {
                "script"
            } else {
                "Sec-Fetch"
            };
            assert!(
                method == "HEAD" || answer.text().contains(word),
                "{}",
                answer.text()
            );
        }
    }
    let users = arena.gateway.operator(&["user", "list"]).to_string();
    assert!(!users.contains("mallory"), "{users}");
    let page = root.get("/.portcullis/users/ivo").await;
    assert_eq!(page.status, 200, "nothing was ended: {}", page.text());
}

#[tokio::test]
async fn a_file_of_a_page_is_given_as_what_it_is() {
    let arena = Turn::next().await;
    let mut ilse = arena.person("ilse").await;
    let page = ilse.get("/.portcullis/account").await.text();
    let path = |end: &str| {
        let mut quoted = page
            .split('"')
            .filter(|text| text.starts_with("/.portcullis/assets/"));
        quoted.find(|text| text.ends_with(end)).unwrap().to_owned()
    };
    for (file, dest, status) in [
        (path(".css"), "style", 200),
        (path(".svg"), "image", 200),
        (path(".css"), "image", 403),
        (path(".svg"), "style", 403),
        (path(".css"), "empty", 403),
        (path(".svg"), "document", 403),
        (path(".svg"), "iframe", 403),
        (path(".css"), "serviceworker", 403),
        (path(".css"), "", 403),
    ] {
        let said = format!("Sec-Fetch-Dest: {dest}\r\nSec-Fetch-Mode: no-cors");
        let answer = asks(&ilse, "GET", &file, &said, "").await;
        assert_eq!(answer.status, status, "{file} as {dest}");
    }
    let silent = asks(&ilse, "GET", &path(".css"), "X-Nothing: to-say", "").await;
    assert_eq!(silent.status, 403);
}

/// What a panel says of the origin that it shares with the portal.
const ORIGIN_WIDE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\n\
    Service-Worker-Allowed: /\r\nservice-worker-allowed: /.portcullis/\r\n\
    NEL: {\"report_to\":\"x\",\"max_age\":1,\"success_fraction\":1}\r\n\
    Report-To: {\"group\":\"x\",\"max_age\":1,\"endpoints\":[{\"url\":\"https://evil.example\"}]}\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\nVary: Accept\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_panel_says_nothing_of_the_whole_origin() {
    let arena = Turn::next().await;
    let ilka = arena.person("ilka").await;
    arena.panel.answers_at("/worker.js", ORIGIN_WIDE);
    arena.panel.answers_oddly("worker.js", ORIGIN_WIDE);
    let cookie = ilka.cookie();
    for (path, vary) in [
        ("/worker.js", &["Accept", "Service-Worker"][..]),
        ("/odd/worker.js", &["Accept"]),
    ] {
        let answer = ilka.connect().await.get(path, &[&cookie]).await;
        assert_eq!(answer.status, 200, "{path}");
        for name in ["service-worker-allowed", "nel", "report-to"] {
            assert_eq!(answer.header(name), None, "{path}: {name}");
        }
        let opener = answer.all("cross-origin-opener-policy");
        assert_eq!(opener, ["same-origin-allow-popups"], "{path}");
        assert_eq!(answer.all("vary"), vary, "{path}");
    }
    for (field, path, status) in [
        ("Service-Worker: script", "/worker.js", 403),
        ("Sec-Fetch-Dest: serviceworker", "/worker.js", 403),
        ("Service-Worker: script", "/odd/worker.js", 200),
        ("Sec-Fetch-Dest: worker", "/worker.js", 200),
    ] {
        let answer = ilka.connect().await.get(path, &[&cookie, field]).await;
        assert_eq!(answer.status, status, "{field} {path}");
    }
}

#[tokio::test]
async fn a_frame_gets_a_page_that_only_its_own_site_may_show() {
    let arena = Turn::next().await;
    let html = "Accept: text/html";
    let navigate = "Sec-Fetch-Mode: navigate";
    for (dest, referer, login) in [
        (
            "iframe",
            "Referer: https://localhost/desk?a=b",
            "%2Fdesk%3Fa%3Db",
        ),
        ("frame", "Referer: https://LOCALHOST:8443/desk", "%2Fdesk"),
        ("embed", "Referer: https://evil.example/desk", "%2Fpage"),
        ("object", "Referer: https://localhost.evil/desk", "%2Fpage"),
        (
            "iframe",
            "Referer: https://localhost//evil.example/",
            "%2Fpage",
        ),
        ("fencedframe", "Referer: nonsense", "%2Fpage"),
    ] {
        let dest = format!("Sec-Fetch-Dest: {dest}");
        let fields = [html, navigate, referer, dest.as_str()];
        let answer = arena.gateway.connect().await.get("/page", &fields).await;
        assert_eq!(answer.status, 401, "{dest} {referer}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'self'"), "{policy}");
        assert!(!policy.contains("script"), "{policy}");
        let way = format!("href=\"/.portcullis/login?next={login}\" target=\"_top\"");
        assert!(
            answer.text().contains(&way),
            "{dest} {referer}: {}",
            answer.text()
        );
    }
    for dest in ["document", "empty"] {
        let dest = format!("Sec-Fetch-Dest: {dest}");
        let fields = [html, navigate, dest.as_str()];
        let answer = arena.gateway.connect().await.get("/page", &fields).await;
        assert_eq!(answer.status, 303, "{dest}");
    }
}
