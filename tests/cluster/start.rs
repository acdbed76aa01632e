//! Starting over a shared store, and what stands in the way of it: a sentence that helps, the right
//! exit code, and never the password.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::support::cluster::{Cluster, Keys, status, storage};
use crate::support::gateway::{Gateway, RULES, Written};
use crate::support::person::with_the_password_alone as alone;
use crate::support::postgres::{DATABASE_PASSWORD, Postgres};
use crate::support::{free_port, secrets};

use super::trial::PLAIN;

/// A gateway with this `[storage]`, not started.
fn laid_out(storage: &str) -> Gateway {
    Gateway::laid_out(&Written {
        upstream: "http://127.0.0.1:1",
        lines: "",
        sections: &format!("{storage}{PLAIN}"),
        rules: RULES,
        address: Ipv4Addr::LOCALHOST.into(),
        external_port: None,
    })
}

fn tells(gateway: &Gateway, parts: &[&str]) {
    let told = gateway.refuses_to_start(1);
    for part in parts {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    assert!(!told.contains("Error {"), "{told}");
    println!("cluster: refused: {}", told.trim());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_the_same_instant_on_an_empty_database_all_come_up() {
    for _ in 0..3 {
        let mut cluster = Cluster::without_nodes(Postgres::start(), PLAIN).await;
        for _ in 0..4 {
            cluster.lay_out_node();
        }
        let [one, two, three, four] = cluster.nodes.as_mut_slice() else {
            panic!("four nodes")
        };
        tokio::join!(one.start(), two.start(), three.start(), four.start());
        cluster.nodes[3].add_with_password("ada");
        let token = alone(cluster.nodes[2].port, "ada").await.unwrap();
        cluster.serve(&[0, 1, 2, 3], &token).await;
        assert_eq!(cluster.list(0).len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_is_refused() {
    let cluster = Cluster::of(1).await;
    let other = cluster.keys.make("another.key");
    let gateway = laid_out(&storage(&cluster.postgres.url(), &other));
    tells(&gateway, &["not the key that this database"]);
    let without = laid_out(&format!(
        "[storage]\nurl = \"{}\"\n",
        cluster.postgres.url()
    ));
    tells(&without, &["key"]);
}

#[test]
fn a_store_that_does_not_keep_what_it_acknowledges_is_refused() {
    let mut postgres = Postgres::start();
    let keys = Keys::new();
    postgres.ask("alter database portcullis set synchronous_commit = off");
    let gateway = laid_out(&keys.storage(&postgres.url()));
    tells(&gateway, &["synchronous_commit"]);
    postgres.ask("alter database portcullis reset synchronous_commit");
    postgres.set("fsync", "off");
    postgres.restart();
    tells(&gateway, &["fsync"]);
    assert_eq!(
        postgres.ask("select to_regclass('users') is null"),
        "t",
        "nothing was made"
    );
}

#[test]
fn a_standby_is_refused() {
    let postgres = Postgres::start();
    let replica = postgres.replica(false);
    let keys = Keys::new();
    tells(&laid_out(&keys.storage(&replica.url())), &["standby"]);
}

#[test]
fn a_server_that_is_not_there_is_named_without_the_password() {
    let keys = Keys::new();
    let port = free_port();
    let password = "a-password-of-theirs";
    secrets::keep(password);
    let url = format!("postgres://portcullis:{password}@127.0.0.1:{port}/portcullis");
    tells(
        &laid_out(&keys.storage(&url)),
        &[&port.to_string(), "127.0.0.1"],
    );
    let postgres = Postgres::start();
    let url = postgres.url() + "-of-others";
    tells(&laid_out(&keys.storage(&url)), &["portcullis-of-others"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_with_a_password_stands_in_the_configuration_in_a_file_or_in_the_environment() {
    let postgres = Postgres::start();
    postgres.ask("grant all on schema public to guarded");
    let keys = Keys::new();
    let encoded: String = DATABASE_PASSWORD
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    for secret in [DATABASE_PASSWORD, &encoded, "wrong-password"] {
        secrets::keep(secret);
    }
    let url = |password: &str| {
        let port = postgres.port;
        format!("postgres://guarded{password}@127.0.0.1:{port}/portcullis")
    };
    tells(&laid_out(&keys.storage(&url(""))), &["guarded"]);
    tells(
        &laid_out(&keys.storage(&url(":wrong-password"))),
        &["guarded"],
    );
    let right = url(&format!(":{encoded}"));
    let mut gateway = laid_out(&keys.storage(&right));
    gateway.start().await;
    gateway.stop().await;
    let mut gateway = laid_out(&keys.storage("env:PORTCULLIS_TEST_STORE"));
    let told = gateway.refuses_to_start(2);
    assert!(told.contains("PORTCULLIS_TEST_STORE"), "{told}");
    let variable = format!("PORTCULLIS_TEST_STORE={right}");
    gateway.start_under(&["env", &variable]).await;
    gateway.stop().await;
    let file = keys.make("store.url");
    std::fs::write(&file, format!("{right}\n")).unwrap();
    let mut gateway = laid_out(&keys.storage(&format!("file:{}", file.display())));
    gateway.start().await;
    gateway.stop().await;
    std::fs::write(&file, url(":wrong-password")).unwrap();
    tells(&gateway, &["guarded"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_this_version_cannot_work_with_are_refused_and_newer_ones_that_it_can_are_not()
{
    let mut cluster = Cluster::of(1).await;
    cluster.nodes[0].stop().await;
    let newer = "insert into _sqlx_migrations select 9999, 'newer', now(), true, checksum, 1 \
                 from _sqlx_migrations limit 1";
    cluster.postgres.ask(newer);
    cluster.nodes[0].start().await;
    cluster.nodes[0].stop().await;
    cluster.postgres.ask("update head set readers = 9999");
    tells(&cluster.nodes[0], &["9999"]);
}

/// An authority, and what it says of a server of this name: both as files.
struct Authority {
    ca: PathBuf,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Authority {
    fn of(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = KeyPair::generate().unwrap();
        let ca = folder.join(format!("{name}.ca.pem"));
        std::fs::write(&ca, params.self_signed(&own).unwrap().pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let issuer = Issuer::new(params, own);
        let certificate = server.signed_by(&key, &issuer).unwrap();
        Self {
            ca,
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_known_by_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::of(folder.path(), "localhost");
    let other = Authority::of(folder.path(), "elsewhere.example");
    let mut postgres = Postgres::laid_out(&[]);
    for (name, content) in [("crt", &authority.certificate), ("key", &authority.key)] {
        postgres.give(&format!("data/server.{name}"), content);
    }
    postgres.set("ssl", "on");
    postgres.run();
    postgres.furnish();
    let keys = Keys::new();
    let (port, database) = (postgres.port, "portcullis");
    let with = |host: &str, query: &str, ca: &Path| {
        let url = format!("postgres://portcullis@{host}:{port}/{database}{query}");
        laid_out(&format!(
            "{}ca = \"{}\"\n",
            keys.storage(&url),
            ca.display()
        ))
    };
    for query in ["", "?sslmode=verify-full", "?sslmode=verify-ca"] {
        tells(&with("localhost", query, &other.ca), &["certificate"]);
    }
    tells(
        &with("127.0.0.1", "?sslmode=verify-full", &authority.ca),
        &["certificate"],
    );
    for query in ["", "?sslmode=verify-full"] {
        let mut gateway = with("localhost", query, &authority.ca);
        gateway.start().await;
        gateway.add_with_password(&format!("ada{}", query.len()));
        let plain = postgres.ask(
            "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) \
             where usename = 'portcullis' and not ssl",
        );
        assert_eq!(plain, "0");
        gateway.stop().await;
    }
    postgres.set("ssl", "off");
    postgres.restart();
    tells(&with("localhost", "", &authority.ca), &["TLS"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_check_looks_at_the_store_and_changes_nothing() {
    let mut postgres = Postgres::start();
    let keys = Keys::new();
    let gateway = laid_out(&keys.storage(&postgres.url()));
    let fine = gateway.command(&["check"], None);
    assert!(fine.status.success(), "{fine:?}");
    let live = gateway.command(&["check", "--live"], None);
    let told = String::from_utf8_lossy(&live.stdout).into_owned();
    assert!(!told.contains("storage"), "{told}");
    assert_eq!(
        postgres.ask("select to_regclass('users') is null"),
        "t",
        "nothing was made"
    );
    postgres.stop();
    let live = gateway.command(&["check", "--live"], None);
    assert_eq!(live.status.code(), Some(1), "{live:?}");
    let told = [live.stdout, live.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(told.contains(&postgres.port.to_string()), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_work_on_the_store_while_no_node_runs() {
    let mut cluster = Cluster::with(2, PLAIN).await;
    cluster.nodes[0].add_with_password("ada");
    let token = alone(cluster.nodes[1].port, "ada").await.unwrap();
    // Without a gateway beside it a command reaches the others by the store.
    cluster.nodes[0].stop().await;
    let ended = cluster.nodes[0].operator(&["user", "logout", "ada"]);
    assert_eq!(ended["durable"], true, "{ended}");
    assert_eq!(ended["nodes_unreached"], 0, "{ended}");
    assert_eq!(status(cluster.nodes[1].port, &token).await, Some(401));
    cluster.nodes[1].stop().await;
    cluster.nodes[1].add_with_password("bob");
    let users = cluster.nodes[0].operator(&["user", "list"]);
    assert_eq!(users.as_array().unwrap().len(), 2, "{users}");
}
