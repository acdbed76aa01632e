//! Attacks on the built gateway, over real sockets. The README beside this file says which test
//! stands for which class of the threat table.
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

mod arena;
mod ask;
mod attack;
mod bad_targets;
mod behind_proxies;
mod class_a;
mod class_b;
mod class_b_proxies;
mod class_c;
mod class_c_shared;
mod class_d;
mod class_e;
mod class_f;
mod class_g;
mod class_g_logs;
mod class_h;
mod connections;
mod early_answers;
mod floods;
mod forwarded_fields;
mod guesses;
mod real_servers;
mod spoken_for;
mod the_panels_origin;
mod told_refusals;
mod watched;
