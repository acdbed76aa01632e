//! The harness itself: a PostgreSQL that can be hurt, roads that can be closed, links that drop.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::cluster::local;
use crate::support::disk::Disk;
use crate::support::network::{Namespace, Road, Way};
use crate::support::postgres::Postgres;

const NOTE: &str = "insert into notes values (1)";

fn notes(postgres: &Postgres) -> u32 {
    postgres.ask("select count(*) from notes").parse().unwrap()
}

#[test]
fn a_server_keeps_what_it_said_through_everything() {
    let mut postgres = Postgres::start();
    postgres.ask("create table notes (n int)");
    postgres.ask(NOTE);
    postgres.restart();
    postgres.kill();
    postgres.run();
    postgres.freeze();
    postgres.thaw();
    assert_eq!(notes(&postgres), 1);
    let backup = postgres.backup();
    postgres.ask(NOTE);
    assert_eq!(notes(&postgres), 2);
    postgres.restore(&backup);
    assert_eq!(notes(&postgres), 1);
    assert!(postgres.transactions() > 0);
    assert!(postgres.is_running());
}

#[test]
fn a_replica_has_everything_or_what_it_heard_of() {
    for is_synchronous in [true, false] {
        let mut postgres = Postgres::start();
        postgres.ask("create table notes (n int)");
        let mut replica = postgres.replica(is_synchronous);
        postgres.ask(NOTE);
        if !is_synchronous {
            replica.stop();
            postgres.ask(NOTE);
            postgres.kill();
            replica.run();
        }
        postgres.kill();
        replica.promote();
        replica.ask(NOTE);
        let expected = if is_synchronous { 2 } else { 1 };
        assert!((expected..=2).contains(&notes(&replica)));
    }
}

#[test]
fn a_disk_is_full_until_there_is_room() {
    let disk = Disk::of_mebibytes(16);
    let postgres = Postgres::start();
    let place = disk.path().display().to_string();
    postgres.ask(&format!("create tablespace small location '{place}'"));
    postgres.ask("create table notes (n int, t text) tablespace small");
    disk.fill();
    let much = "do $$ begin insert into notes select n, repeat('x', 500) from \
                generate_series(1, 10000) n; raise 'there was room'; \
                exception when disk_full then null; end $$";
    postgres.ask(much);
    disk.free();
    postgres.ask("insert into notes select n, repeat('x', 500) from generate_series(1, 1000) n");
}

/// Sends back what comes.
async fn echo() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.into_split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

/// Whether what is said now comes back within a second.
async fn comes_back(stream: &mut TcpStream, text: &[u8]) -> bool {
    stream.write_all(text).await.unwrap();
    hears(stream, text).await
}

async fn hears(stream: &mut TcpStream, text: &[u8]) -> bool {
    let mut bytes = vec![0; text.len()];
    let reading = stream.read_exact(&mut bytes);
    match tokio::time::timeout(Duration::from_millis(500), reading).await {
        Ok(read) => read.is_ok() && bytes == text,
        Err(_) => false,
    }
}

#[tokio::test]
async fn a_road_is_closed_slow_torn_up_and_led_elsewhere() {
    let road = Road::to(local(echo().await));
    let connect = || TcpStream::connect(local(road.port));
    let mut stream = connect().await.unwrap();
    assert!(comes_back(&mut stream, b"one").await);
    for way in [Way::There, Way::Back, Way::Both] {
        road.close(way);
        assert!(!comes_back(&mut stream, b"two").await);
        road.open();
        assert!(hears(&mut stream, b"two").await, "it was kept");
    }
    road.slow_down(Duration::from_millis(100));
    let begun = Instant::now();
    assert!(comes_back(&mut stream, b"three").await);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    road.open();
    road.tear_up();
    let fault = stream.read(&mut [0; 9]).await.unwrap_err();
    assert_eq!(fault.kind(), std::io::ErrorKind::ConnectionReset);
    road.lead_to(echo().await);
    let mut stream = connect().await.unwrap();
    assert!(comes_back(&mut stream, b"four").await);
    // Nobody listens there.
    road.lead_to(1);
    let mut stream = connect().await.unwrap();
    assert!(stream.read(&mut [0; 9]).await.is_err());
}

#[tokio::test]
async fn a_link_drops_what_goes_there_or_what_comes_back() {
    let port = echo().await;
    let network = Namespace::new();
    let says = |text: &'static str| {
        let [program, arguments @ ..] = network.entrance();
        let address = format!("/dev/tcp/{}/{port}", network.outside);
        let script = format!("exec 3<>{address}; echo {text} >&3; head -1 <&3");
        let mut command = std::process::Command::new(program);
        command.args(arguments);
        command.args(["timeout", "1", "bash", "-c", &script]);
        async move {
            let running = tokio::task::spawn_blocking(move || command.output().unwrap());
            running.await.unwrap().stdout == format!("{text}\n").into_bytes()
        }
    };
    assert!(says("open").await);
    for way in [Way::There, Way::Back, Way::Both] {
        network.cut(port, way);
        assert!(!says("closed").await, "{way:?}");
        network.heal();
        assert!(says("open").await, "{way:?}");
    }
}
