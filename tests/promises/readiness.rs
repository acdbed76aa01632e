//! A gateway with a store of its own says that it is ready when that can be written, and names a full disk.

use std::fs::{self, File};
use std::io::Write;

use crate::support::cluster::{asked, is_ready};
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::panel::Panel;

use super::faults::on_a_disk;

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_grows_by_asking() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    gateway.person("ada", "operator").await;
    gateway.stop().await;
    gateway.start_by(&on_a_disk(&gateway, "rw")).await;
    let before = gateway.audit().len();
    for _ in 0..20 {
        assert!(is_ready(&gateway).await);
    }
    assert_eq!(gateway.audit().len(), before);
    let filler = gateway.within("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    eventually("the full disk to be named", async || {
        let answer = asked(gateway.management_port, "/readyz", &[]).await?;
        let named = answer.status == 503 && answer.text().contains("the disk is full");
        named.then_some(())
    })
    .await;
    let alive = asked(gateway.management_port, "/healthz", &[])
        .await
        .unwrap();
    assert_eq!(alive.status, 200);
    fs::remove_file(&filler).unwrap();
    drop(file);
    eventually("the gateway to be ready", async || {
        is_ready(&gateway).await.then_some(())
    })
    .await;
    assert_eq!(gateway.audit().len(), before);
}
