//! Panels that nobody here wrote, used through the gateway as a person uses them: the Django admin,
//! Adminer and a Jupyter server.
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

mod adminer;
mod django;
mod form;
mod jupyter;
mod served;
