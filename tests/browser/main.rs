//! A real browser before the demo: Chromium goes the whole way that a person goes, from the set-up
//! link to the panel, and sees what is open there die.
//!
//! What it sees on the way is kept as pictures in `target/screenshots`.
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

mod accessible;
mod album;
mod browser;
mod demo;
mod enrolment;
mod errors;
mod journey;
mod leaving;
mod next;
mod people;
mod the_panels_answer;
mod the_panels_script;
mod two_devices;
mod user;
mod webdriver;
