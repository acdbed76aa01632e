//! The audit list.

use maud::{Markup, html};

use super::super::page::{Account as Owner, Page, frame};
use super::account::moment;
use crate::clock::Timestamp;
use crate::store::AuditEntry;

/// One page of the list.
pub(in crate::portal) struct Audit<'a> {
    pub(in crate::portal) csrf: &'a str,
    pub(in crate::portal) me: &'a str,
    /// Newest first.
    pub(in crate::portal) entries: &'a [AuditEntry],
    pub(in crate::portal) is_newest: bool,
    /// The entry that the next page goes on before.
    pub(in crate::portal) older: Option<i64>,
    pub(in crate::portal) now: Timestamp,
}

pub(in crate::portal) fn audit(view: &Audit<'_>) -> Markup {
    frame(&Page {
        title: "Audit",
        account: Some(Owner {
            user: view.me,
            csrf: view.csrf,
            administers: true,
        }),
        content: html! {
            h1 { "Audit" }
            p class="lead" { "Who did what to whom, the newest first." }
            section aria-label="Entries" {
                @if view.entries.is_empty() { p { "There is nothing here." } }
                ol class="sessions" {
                    @for entry in view.entries { (row(entry, view.now)) }
                }
                @if !view.is_newest || view.older.is_some() {
                    div class="act" {
                        @if !view.is_newest {
                            a class="button quiet" href="/.portcullis/audit" { "Newest" }
                        }
                        @if let Some(seq) = view.older {
                            a class="button quiet" href={ "/.portcullis/audit?before=" (seq) } { "Older" }
                        }
                    }
                }
            }
        },
    })
}

fn row(entry: &AuditEntry, now: Timestamp) -> Markup {
    html! {
        li {
            div {
                p class="device" {
                    (entry.action)
                    @if let Some(subject) = &entry.subject { " · " (subject) }
                }
                dl {
                    div { dt { "When" } dd { (moment(entry.at, now)) } }
                    div { dt { "By" } dd { (entry.actor) } }
                    @if !entry.detail.is_empty() { div { dt { "What" } dd { (entry.detail) } } }
                    @if let Some(request) = &entry.request { div { dt { "Request" } dd { (request) } } }
                    div { dt { "No." } dd { (entry.seq) } }
                }
            }
        }
    }
}
