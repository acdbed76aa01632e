//! The promises of the product, told over real sockets against the built binary.
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

mod an_act_under_way;
mod at_the_door;
mod broken_off;
mod clocks;
mod ended_means_ended;
mod faults;
mod flat_memory;
mod health;
mod judged_again;
mod kept;
mod memory;
mod no_secret_is_told;
mod open;
mod own_answers;
mod panels;
mod plain_http;
mod race;
mod readiness;
mod reload;
mod risks;
mod rotation;
mod secret_files;
mod strangers;
mod the_command_line;
mod the_end;
mod the_live_check;
mod the_panel_side;
mod the_panels_certificate;
mod the_start;
mod the_way_in;
mod what_counts_as_use;
mod what_errors_say;
mod why_it_ended;
