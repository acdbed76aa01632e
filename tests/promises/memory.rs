//! What a look into the memory of the gateway finds after people and programs have shown their secrets:
//! a core dump, a swap file, a process of root.
//!
//! What is given back is overwritten. What may remain for a while: the buffers of connections that are
//! still open, and the stacks of threads, where registers were put down.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;
use std::time::Duration;

use crate::support::gateway::{Gateway, RULES};
use crate::support::panel::Panel;
use crate::support::person::PASSWORD;
use crate::support::secrets;

/// How often each of these stands in memory that the process can write.
fn found(gateway: &Gateway, wanted: &[&str]) -> Vec<usize> {
    let id = gateway.process_id();
    let memory = File::open(format!("/proc/{id}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let mut counts = vec![0; wanted.len()];
    let mut read = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut at = start;
        while at < end {
            // Overlapping, so that nothing is cut in two.
            let mut part = vec![0; usize::try_from((end - at).min(1 << 20)).unwrap()];
            let Ok(length) = memory.read_at(&mut part, at) else {
                break;
            };
            read += length;
            for (count, text) in counts.iter_mut().zip(wanted) {
                let text = text.as_bytes();
                let finder = memchr::memmem::Finder::new(text);
                let fresh = if at == start {
                    0
                } else {
                    128 - (text.len() - 1)
                };
                *count += finder.find_iter(&part[fresh.min(length)..length]).count();
            }
            if at + u64::try_from(length).unwrap() >= end || length <= 128 {
                break;
            }
            at += u64::try_from(length - 128).unwrap();
        }
    }
    assert!(read > 1 << 20, "the memory was read: {read}");
    counts
}

#[tokio::test]
async fn little_is_found_of_secrets_that_were_shown() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", RULES).await;
    let mut ada = gateway.person("ada", "administrator").await;
    let mut again = ada.elsewhere();
    again.sign_in().await;
    let code = ada.recovery_codes[0].clone();
    for person in [&mut ada, &mut again] {
        assert_eq!(person.get("/page").await.status, 200);
        assert_eq!(person.get("/.portcullis/users").await.status, 200);
    }
    let token = gateway.token("users,read");
    for _ in 0..3 {
        let answer = gateway.call(&token, "GET", "/v1/users", "").await;
        assert_eq!(answer.status, 200);
    }
    let set = "marble gondola harbour nine";
    secrets::keep(set);
    gateway.add_with_password("bob");
    let body = format!("{{\"password\": \"{set}\"}}");
    let answer = gateway
        .call(&token, "PUT", "/v1/users/bob/password", &body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // As the form sends it, too.
    let encoded = PASSWORD.replace(' ', "%20");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let wanted = [
        PASSWORD,
        &encoded,
        again.token(),
        ada.token(),
        &token,
        set,
        &code,
        // Of what is there for certain, so that the search is known to find.
        "/.portcullis/login",
    ];
    let counts = found(&gateway, &wanted);
    println!(
        "memory: {:?}",
        wanted.iter().zip(&counts).collect::<Vec<_>>()
    );
    let (there, secret) = counts.split_last().unwrap();
    assert!(*there > 0);
    assert!(secret.iter().all(|count| *count <= MOST), "{secret:?}");
    assert!(secret.iter().sum::<usize>() <= MOST_IN_ALL, "{secret:?}");
}

/// Copies of one secret, and of all seven.
const MOST: usize = 3;
const MOST_IN_ALL: usize = 6;

/// The limit of a core of a gateway that another user runs, and who owns what /proc shows of it: root,
/// where it may not be dumped.
async fn dumps(environment: &str) -> (String, u32) {
    const NOBODY: u32 = 65534;
    let panel = Panel::start().await;
    let mut gateway = Gateway::with(&panel, "", RULES).await;
    gateway.stop().await;
    let own = Command::new("chown")
        .args(["-R", &NOBODY.to_string()])
        .arg(gateway.folder())
        .status();
    assert!(own.unwrap().success());
    let user = format!("--reuid={NOBODY}");
    let arguments = ["setpriv", &user, "--clear-groups", "env", environment];
    let unlimited = ["prlimit", "--core=unlimited"];
    let program: Vec<_> = unlimited.into_iter().chain(arguments).collect();
    gateway.start_under(&program).await;
    let id = gateway.process_id();
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let core = core.unwrap().split_whitespace().next().unwrap().to_owned();
    let memory = fs::metadata(format!("/proc/{id}/mem")).unwrap();
    (core, memory.uid())
}

#[tokio::test]
async fn there_is_no_core_dump_save_for_developers() {
    assert_eq!(dumps("A=1").await, ("0".to_owned(), 0));
    assert_eq!(
        dumps("PORTCULLIS_CORE_DUMPS=yes").await,
        ("0".to_owned(), 0)
    );
    let allowed = dumps("PORTCULLIS_CORE_DUMPS=1").await;
    assert_eq!(allowed, ("unlimited".to_owned(), 65534));
}
