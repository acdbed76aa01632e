//! G: what an attacker can make the gateway write. One event is one line that a terminal and a
//! parser can stand, and a stolen file holds no secret.

use std::fs;

use crate::support::gateway::{Gateway, RULES};
use crate::support::panel::Panel;
use crate::support::person::give_password;
use crate::support::secrets;

/// What could make two lines of one, rule a terminal, or turn a text around.
const HOSTILE: [&str; 5] = [
    "x\n{\"event\":\"login_ok\"}",
    "x\r\nforged",
    "\u{1b}[2J\u{1b}]0;forged\u{7}",
    "\u{202e}nimda",
    "\u{9b}31m\u{7f}\u{8}",
];

/// Text as a form or a path carries it.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The lines of the log, without the colours that the gateway itself gives them.
fn lines(log: &str) -> Vec<String> {
    let colours = ["0", "1", "2", "3", "31", "32", "33", "34", "35"];
    let plain = colours.iter().fold(log.to_owned(), |log, colour| {
        log.replace(&format!("\u{1b}[{colour}m"), "")
    });
    plain.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn g5_nobody_writes_lines_or_controls_into_the_log() {
    let panel = Panel::start().await;
    let crowded = "[throttle]\nper_address = \"5000/15m\"";
    let gateway = Gateway::with(&panel, crowded, RULES).await;
    let ada = gateway.person("ada", "operator").await;
    let token = gateway.token("revoke,users,read");
    panel.answers_oddly(
        "words",
        "good \u{1b}[2J morning\n{\"event\":\"login_ok\"}\r\n\r\n",
    );
    let agent = format!("User-Agent: {}", "x".repeat(16 * 1024));
    for hostile in HOSTILE {
        let name = encoded(hostile);
        give_password(gateway.port, &name, "some password").await;
        for path in [
            format!("/{name}"),
            format!("/page?q={name}"),
            "/odd/words".to_owned(),
        ] {
            let mut wire = gateway.connect().await;
            wire.try_request("GET", &path, &[&ada.cookie(), &agent], b"")
                .await;
        }
        let body = serde_json::json!({ "name": hostile, "role": hostile, "reason": hostile });
        let body = body.to_string();
        for path in [
            format!("/v1/users/{name}/password-changed"),
            "/v1/users".to_owned(),
        ] {
            let answer = gateway.call(&token, "POST", &path, &body).await;
            assert!(
                (400..500).contains(&answer.status),
                "{path}: {}",
                answer.text()
            );
        }
    }
    let log = gateway.log();
    assert!(log.contains("not answered by the panel"), "{log}");
    for line in lines(&log) {
        let bare = !line
            .chars()
            .any(|letter| letter.is_control() || letter == '\u{202e}');
        assert!(bare, "{line:?}");
        assert!(line.len() <= 8 * 1024, "{} bytes", line.len());
        let begins = line.starts_with("20") || line.starts_with('{');
        assert!(begins, "no line of the gateway's own: {line:?}");
    }
}

#[tokio::test]
async fn g8_a_stolen_data_folder_or_backup_opens_nothing() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    ada.cookies.clear();
    ada.sign_in().await;
    gateway.token("revoke,users,read");
    let open_link = gateway.operator(&["user", "add", "bob", "--role", "operator"]);
    let url = open_link["setup_url"].as_str().unwrap();
    secrets::keep(url.split_once("token=").unwrap().1);
    let backup = gateway.config().with_file_name("backup.db");
    let made = gateway.command(&["backup", backup.to_str().unwrap()], None);
    assert!(made.status.success(), "{made:?}");
    let mut files = vec![backup];
    for entry in fs::read_dir(gateway.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files.push(path);
        }
    }
    assert!(
        files.iter().any(|path| path.ends_with("portcullis.db-wal")),
        "{files:?}"
    );
    let mut stood_there = false;
    for path in files {
        let bytes = fs::read(&path).unwrap();
        // Byte for byte: what is not UTF-8 hides nothing that stands beside it.
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        stood_there |= text.contains("ada");
        let given_away = secrets::given_away_by(&text);
        assert!(
            given_away.is_empty(),
            "{} holds {given_away:?}",
            path.display()
        );
    }
    assert!(
        stood_there,
        "what is kept in the clear was not found either"
    );
}
