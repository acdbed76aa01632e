//! Over HTTP/2: what is answered before it was sent whole, and cookies that come one by one.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bytes::Bytes;

use crate::support::gateway::Gateway;
use crate::support::http2::{self, Http2};
use crate::support::panel::Panel;
use crate::support::soon;

const LIMITED: &str = "max_body = \"1k\"\n[[panel.rule]]\npath = \"/open/\"\nallow = \"anyone\"\n";

/// What real curl makes of the answer to an upload of eight megabytes: the status and its own error.
async fn upload_with_curl(port: u16, options: &'static [&'static str], target: &str) -> String {
    let address = format!("https://localhost:{port}{target}");
    let curl = move || {
        let mut child = Command::new("curl")
            .args([
                "--silent",
                "--insecure",
                "--max-time",
                "20",
                "--output",
                "/dev/null",
            ])
            .args([
                "--noproxy",
                "*",
                "--write-out",
                "%{http_version} %{http_code}%{errormsg}",
            ])
            .args(options)
            .arg(address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // curl may stop reading: it has its answer then.
        let _ = child.stdin.take().unwrap().write_all(&vec![b'x'; 8 << 20]);
        let output = child.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    tokio::task::spawn_blocking(curl).await.unwrap()
}

#[tokio::test]
async fn an_upload_that_is_refused_early_shows_its_answer() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", LIMITED).await;
    let whole: &[&str] = &["--http2", "--data-binary", "@-"];
    let streamed: &[&str] = &["--http2", "--upload-file", "-"];
    let old: &[&str] = &["--http1.1", "--data-binary", "@-"];
    for (options, target, seen) in [
        (whole, "/private", "2 401"),
        (streamed, "/private", "2 401"),
        (whole, "/open/", "2 413"),
        (streamed, "/open/", "2 413"),
        (whole, "/.portcullis/login", "2 403"),
        (streamed, "/.portcullis/none", "2 403"),
        (whole, "/%2e%2e/", "2 400"),
        (old, "/private", "1.1 401"),
        (old, "/open/", "1.1 413"),
    ] {
        let told = upload_with_curl(gateway.port, options, target).await;
        assert_eq!(told, seen, "{options:?} {target}");
    }
    assert!(panel.seen_with("private").is_empty());
}

#[tokio::test]
async fn a_refused_upload_is_not_read_for_ever() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", LIMITED).await;
    // One that sends nothing more, and one that never stops.
    for piece in [0, 64 * 1024] {
        let http2 = Http2::connect(gateway.port).await;
        let request = http2::head("POST", "/private", &[]);
        let (answer, mut body) = http2.begin(request, false).await;
        let answer = soon("the head of the answer", answer).await.unwrap();
        assert_eq!(answer.status(), 401);
        let mut answer = answer.into_body();
        let reading = async { while let Ok(Some(_)) = http2::next(&mut answer).await {} };
        let sending = async {
            if piece == 0 {
                return std::future::pending().await;
            }
            loop {
                body.reserve_capacity(piece);
                match std::future::poll_fn(|cx| body.poll_capacity(cx)).await {
                    Some(Ok(room)) => {
                        if body
                            .send_data(Bytes::from(vec![0; room.min(piece)]), false)
                            .is_err()
                        {
                            return std::future::pending().await;
                        }
                    }
                    _ => return std::future::pending().await,
                }
            }
        };
        soon("the end of the answer", async {
            tokio::select! {
                () = reading => {}
                () = sending => {}
            }
        })
        .await;
        // Its connection serves on.
        assert_eq!(http2.get("/open/echo", &[]).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn cookies_that_come_one_by_one_are_one_field() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", LIMITED).await;
    let http2 = Http2::connect(gateway.port).await;
    for (cookies, others, status) in [
        (150, 0, 200),
        (150, 90, 200),
        (1, 101, 431),
        (150, 101, 431),
    ] {
        let crumbs: Vec<String> = (0..cookies).map(|number| format!("c{number}=v")).collect();
        let names: Vec<String> = (0..others).map(|number| format!("x-{number}")).collect();
        let mut fields: Vec<(&str, &str)> = crumbs
            .iter()
            .map(|crumb| ("cookie", crumb.as_str()))
            .collect();
        fields.extend(names.iter().map(|name| (name.as_str(), "1")));
        let path = format!("/open/echo?{cookies}-{others}");
        let answer = http2.get(&path, &fields).await.unwrap();
        assert_eq!(
            answer.status,
            status,
            "{cookies} {others}: {}",
            answer.text()
        );
        if status == 200 {
            let seen = panel.seen_with(&path).pop().unwrap();
            assert_eq!(
                seen.all("cookie"),
                [crumbs.join("; ")],
                "{cookies} {others}"
            );
        }
    }
}
