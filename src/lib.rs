//! Portcullis, a reverse-proxy session gateway.
//!
//! ```text
//!  bytes ──> accept ──> gateway ──> gate ──Permit──> proxy ──> panel
//!            TLS, head   one match    │                │ exchange registered in session, cut by revoke
//!                                     ├──> portal ──> login ──> session
//!                                     └──> refusal
//!  programs ──> accept ──> management ──┐
//!  people ──────────────> portal ───────┴──> users ──> revoke: commit ─> raise ─> cut ─> spread ─> outcome
//! ```
//!
//! One request is read once, judged once, and forwarded by whoever holds the permit. *Session* means
//! one sign-in on one device; one request with its answer, or one tunnel, is an **exchange**.
//!
//! # The floors
//! A room may name only rooms on lower floors, and itself. `tests/house_rules.rs` reads this table
//! and checks every `use`. Doors on the same floor never name each other: they share verbs, so that
//! a revocation from a page, a call or a command is the same function.
//!
//! | floor | room | holds |
//! | --- | --- | --- |
//! | 11 | `cli` | one file a command; the demo with its small legacy panel; the client of the management socket |
//! | 10 | `gateway` | puts the rooms together: one match on the verdict, start, drain |
//! | 9 | `portal` | pages for people |
//! | 9 | `management` | calls for programs, tokens, the socket |
//! | 8 | `proxy` | carries one exchange to the panel and back |
//! | 8 | `users` | people, set-up links, passwords set |
//! | 7 | `login` | from stranger to session, as types |
//! | 7 | `gate` | may this request pass: target, rules, verdict, permit, refusal |
//! | 7 | `revoke` | the reason this product exists: commit, raise, cut, outcome |
//! | 6 | `cluster` | several gateways over one store: the feed of what was ended, leases, sessions of other nodes |
//! | 5 | `session` | who is signed in, in memory; exchanges in flight and the cut |
//! | 4 | `store` | what survives: one door to SQLite and PostgreSQL |
//! | 4 | `accept` | from bytes to a request: listen, TLS, head check, HTTP/1 and HTTP/2, clocks |
//! | 3 | `telemetry` | what those who watch are told: the two logs, the numbers |
//! | 3 | `config` | what the operator wants, as written and as meant |
//! | 2 | `tls` | certificates and keys as files: read with the line of every fault |
//! | 2 | `wire` | HTTP vocabulary that several rooms need |
//! | 2 | `credentials` | what a person knows or has: passwords, TOTP, recovery codes |
//! | 1 | `secret_file` | files that hold secrets: the one rule of who may read them |
//! | 1 | `model` | the words of the contract as types, without I/O |
//! | 0 | `cancel` | what is looked at far more often than it happens: the end of an exchange |
//! | 0 | `clock` | the only file that reads a clock |
//! | 0 | `core_dumps` | there are none: they would hold secrets |
//! | 0 | `deadline` | what is set far more often than it passes |
//! | 0 | `secret` | values that are never printed |
//! | 0 | `shutdown` | owners of tasks |

pub mod accept;
pub mod cancel;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod core_dumps;
pub mod credentials;
pub mod deadline;
pub mod gate;
pub mod gateway;
pub mod login;
pub mod management;
pub mod model;
pub mod portal;
pub mod proxy;
pub mod revoke;
pub mod secret;
pub mod secret_file;
pub mod session;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod users;
pub mod wire;
