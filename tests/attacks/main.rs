//! Attacks on the built gateway, over real sockets. The README beside this file says which test
//! stands for which class of the threat table.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test ends where something is not as it should be"
)]

mod arena;
mod attack;
mod browser;
mod class_a;
mod class_b;
mod class_e;
mod ended;
mod http1;
mod http2;
mod open;
mod panel;
mod unverified;
