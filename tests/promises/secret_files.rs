//! One rule for every file with a secret, as the gateway meets it: run as a user of its own, with the
//! files that Docker, Kubernetes and systemd hand over, and with those that others can read.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::gateway::{Gateway, RULES, Written};
use crate::support::panel::Panel;

/// The user and the group that the gateway runs as: those of nobody, who exist everywhere.
const USER: u32 = 65534;

/// A gateway of which each secret is a file of its own in the folder `secrets`.
async fn laid_out(panel: &Panel) -> Gateway {
    let upstream = format!("http://127.0.0.1:{}", panel.port);
    let mut gateway = Gateway::laid_out(&Written {
        upstream: &upstream,
        lines: "",
        sections: "[storage]\nmaster_key = \"\"",
        rules: RULES,
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        external_port: None,
    });
    // Makes the pair, the database and its key.
    gateway.start().await;
    gateway.stop().await;
    let secrets = gateway.folder().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::rename(gateway.folder().join("gateway.key"), secrets.join("tls")).unwrap();
    fs::rename(
        gateway.data_dir().join("master.key"),
        secrets.join("master"),
    )
    .unwrap();
    let path = gateway.folder().display().to_string();
    gateway.rewrite(
        &format!("{path}/gateway.key"),
        &format!("{path}/secrets/tls"),
    );
    let named = format!("master_key = \"file:{path}/secrets/master\"");
    gateway.rewrite("master_key = \"\"", &named);
    shell(&format!(
        "chmod 755 {path} {path}/secrets; chown -R {USER} {path}/data"
    ));
    gateway
}

fn shell(script: &str) {
    let done = Command::new("bash").args(["-ec", script]).status().unwrap();
    assert!(done.success(), "{script}");
}

/// Begins the gateway as its own user, with these further groups, in a file system of its own.
fn as_its_user(setting: &str, groups: &str) -> String {
    format!("{setting}; exec setpriv --reuid={USER} --regid={USER} {groups} \"$@\"")
}

/// What the gateway says when it does not start, run as its own user.
fn refusal(gateway: &Gateway) -> String {
    let script = as_its_user("true", "--clear-groups");
    let output = Command::new("bash")
        .args(["-ec", &script, "bash"])
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .arg("--config")
        .arg(gateway.config())
        .arg("serve")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Lets these users read a file, beside its owner: a version, and entries of a tag, permissions and an
/// id (acl(5)).
fn set_access_list(path: &Path, users: &[u32]) {
    const NONE: u32 = u32::MAX;
    let owner = (1_u16, 4_u16, NONE);
    let named = users.iter().map(|user| (2, 4, *user));
    let others = [(4, 0, NONE), (16, 4, NONE), (32, 0, NONE)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, bits, id) in std::iter::once(owner).chain(named).chain(others) {
        list.extend(tag.to_le_bytes());
        list.extend(bits.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let name = "system.posix_acl_access";
    rustix::fs::setxattr(path, name, &list, rustix::fs::XattrFlags::empty()).unwrap();
}

#[tokio::test]
async fn what_an_orchestrator_hands_over_is_used() {
    let panel = Panel::start().await;
    let mut gateway = laid_out(&panel).await;
    let secrets = gateway.folder().join("secrets").display().to_string();
    // Docker: root's, readable for all, on a mount that is read-only.
    let docker = format!(
        "chown 0:0 {secrets}/*; chmod 444 {secrets}/*; \
         mount --bind {secrets} {secrets}; mount -o remount,ro,bind {secrets}"
    );
    // Kubernetes: root's, of a group that the process has beside its own; also where it can be written.
    let kubernetes = format!("chown 0:2000 {secrets}/*; chmod 440 {secrets}/*");
    for (setting, groups) in [
        (docker.as_str(), "--clear-groups"),
        (kubernetes.as_str(), "--groups=2000"),
    ] {
        gateway.start_by(&as_its_user(setting, groups)).await;
        gateway.stop().await;
    }
    // systemd: root's, with a list that lets the one user in.
    shell(&format!("chown 0:0 {secrets}/*; chmod 400 {secrets}/*"));
    for name in ["tls", "master"] {
        set_access_list(&gateway.folder().join("secrets").join(name), &[USER]);
    }
    gateway
        .start_by(&as_its_user("true", "--clear-groups"))
        .await;
    gateway.stop().await;
    let log = gateway.log();
    assert!(
        !log.contains("chmod") && !log.contains("taken away"),
        "{log}"
    );
}

#[tokio::test]
async fn what_others_can_read_is_not_used_and_the_sentence_mends_it() {
    let panel = Panel::start().await;
    let mut gateway = laid_out(&panel).await;
    let secrets = gateway.folder().join("secrets");
    for name in ["tls", "master"] {
        let path = secrets.join(name);
        let place = path.display().to_string();
        for (setting, word) in [
            ("chown 0:65534 FILE; chmod 644 FILE", "every user"),
            ("chown 0:4 FILE; chmod 440 FILE; chmod o+r FILE", "gid 4"),
            ("chown 1000:65534 FILE; chmod 440 FILE", "another user"),
            ("chown 0:65534 FILE; chmod 460 FILE", "changed"),
        ] {
            let others = secrets.join(if name == "tls" { "master" } else { "tls" });
            shell(&format!(
                "chown {USER} {0}; chmod 600 {0}",
                others.display()
            ));
            shell(&setting.replace("FILE", &place));
            let told = refusal(&gateway);
            assert!(
                told.contains(&place) && told.contains(word),
                "{setting}: {told}"
            );
            // What it says to do is enough.
            let (_, remedy) = told.trim().rsplit_once("with: ").unwrap();
            shell(remedy);
            gateway
                .start_by(&as_its_user("true", "--clear-groups"))
                .await;
            gateway.stop().await;
        }
        shell(&format!("chown 0:0 {place}; chmod 400 {place}"));
        set_access_list(&path, &[1000, USER]);
        let told = refusal(&gateway);
        assert!(told.contains("uid 1000"), "{told}");
        shell(&format!("chown {USER} {place}; chmod 600 {place}"));
    }
}

#[tokio::test]
async fn what_is_its_own_is_mended_at_a_start_with_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let panel = Panel::start().await;
    let mut gateway = laid_out(&panel).await;
    let secrets = gateway.folder().join("secrets");
    let files = [
        secrets.join("tls"),
        secrets.join("master"),
        gateway.data_dir().join("portcullis.db"),
    ];
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in &files {
        shell(&format!("chown {USER} {0}; chmod 644 {0}", path.display()));
    }
    // A look says what would be done, and does nothing.
    let looked = gateway.command(&["check", "--live"], None);
    let told = String::from_utf8_lossy(&looked.stdout).into_owned();
    for path in &files {
        assert!(
            told.contains(&format!("chmod 600 {}", path.display())),
            "{told}"
        );
        assert_eq!(mode(path), 0o644);
    }
    gateway
        .start_by(&as_its_user("true", "--clear-groups"))
        .await;
    let log = gateway.log();
    for path in &files {
        assert_eq!(mode(path), 0o600, "{}", path.display());
        let place = path.display().to_string();
        let told = log
            .lines()
            .any(|line| line.contains("WARN") && line.contains(&place));
        assert!(told, "{place}: {log}");
    }
}

#[tokio::test]
async fn a_url_in_a_file_is_held_to_the_same_rule() {
    let panel = Panel::start().await;
    let gateway = laid_out(&panel).await;
    let path = gateway.folder().join("secrets/url");
    let place = path.display().to_string();
    fs::write(
        &path,
        "postgres://u:hunter2@127.0.0.1:1/p?sslmode=disable\n",
    )
    .unwrap();
    gateway.rewrite("[storage]", &format!("[storage]\nurl = \"file:{place}\""));
    let secrets = gateway.folder().join("secrets").display().to_string();
    shell(&format!(
        "chown {USER} {secrets}/*; chown 0:0 {place}; chmod 644 {place}"
    ));
    let script = as_its_user("true", "--clear-groups");
    let run = |arguments: &[&str]| {
        let mut command = Command::new("bash");
        command.args(["-ec", &script, "bash"]);
        command.arg(env!("CARGO_BIN_EXE_portcullis"));
        command
            .arg("--config")
            .arg(gateway.config())
            .args(arguments);
        command.output().unwrap()
    };
    let refused = run(&["check"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(
        told.contains(&place) && told.contains("every user"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
    shell(&format!("chown {USER} {place}; chmod 640 {place}"));
    let warned = run(&["check"]);
    assert_eq!(warned.status.code(), Some(0), "{warned:?}");
    let told = String::from_utf8_lossy(&warned.stdout).into_owned();
    assert!(told.contains(&format!("chmod 600 {place}")), "{told}");
}
