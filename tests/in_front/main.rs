//! Real proxies in front of the gateway, configured by the very blocks of `docs/behind-a-proxy.md`, and the
//! commands that README.md prints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that can't go on should say where, and its tasks end with it"
)]

#[path = "../support/mod.rs"]
mod support;

mod as_documented;
mod behind;
mod document;
mod nginx_variants;
mod proxy;
mod readme;
mod traefik;
mod visitor;
