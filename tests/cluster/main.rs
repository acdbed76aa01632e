//! Several gateways over one PostgreSQL: whatever is ended on one of them is ended on all, and
//! whatever happens to a node, to the network or to the store, nobody acts with a dead session.
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

mod any_node;
mod audit_numbers;
mod authority;
mod clocks;
mod cuts;
mod disk;
mod ended;
mod failover;
mod failures;
mod flood;
mod hammer;
mod harness;
mod lost_calls;
mod lost_pages;
mod moving;
mod one_list;
mod openers;
mod people;
mod readiness;
mod same_state;
mod signing_out;
mod start;
mod stopped;
mod store;
mod storm;
mod timeline;
mod trial;
mod watch;
