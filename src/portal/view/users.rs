//! Everybody, and the form for somebody new.

use maud::{Markup, html};

use super::super::page::{Account as Owner, Page, frame};
use super::{Complaint, Input, alert, hidden_csrf, input, notice, title};
use crate::model::Role;

/// The list of users.
pub(in crate::portal) struct Users<'a> {
    pub(in crate::portal) csrf: &'a str,
    pub(in crate::portal) me: &'a str,
    pub(in crate::portal) search: &'a str,
    /// How many there are without the search.
    pub(in crate::portal) all: usize,
    pub(in crate::portal) rows: &'a [Row<'a>],
    /// As typed into the form for somebody new.
    pub(in crate::portal) user: &'a str,
    pub(in crate::portal) email: &'a str,
    pub(in crate::portal) notice: Option<&'a str>,
    pub(in crate::portal) complaint: Option<Complaint<'a>>,
}

/// One user of the list.
pub(in crate::portal) struct Row<'a> {
    pub(in crate::portal) name: &'a str,
    pub(in crate::portal) path: String,
    pub(in crate::portal) role: &'a str,
    pub(in crate::portal) email: Option<&'a str>,
    pub(in crate::portal) disabled: bool,
    pub(in crate::portal) locked: bool,
    pub(in crate::portal) has_factor: bool,
    pub(in crate::portal) sessions: usize,
}

pub(in crate::portal) fn users(view: &Users<'_>) -> Markup {
    let complaint = view.complaint.as_ref();
    frame(&Page {
        title: &title("Users", complaint),
        account: Some(Owner {
            user: view.me,
            csrf: view.csrf,
            administers: true,
        }),
        content: html! {
            h1 { "Users" }
            (alert(complaint))
            (notice(view.notice))
            (list(view))
            (add(view))
        },
    })
}

fn list(view: &Users<'_>) -> Markup {
    html! {
        section aria-labelledby="everybody" {
            h2 id="everybody" { "Everybody" }
            form class="search" method="get" action="/.portcullis/users" role="search" {
                label for="q" { "Search" }
                div class="beside" {
                    input id="q" name="q" type="search" value=(view.search) autocomplete="off"
                        autocapitalize="none" spellcheck="false" aria-describedby="q-hint";
                    button class="quiet" type="submit" { "Search" }
                }
                p class="hint" id="q-hint" {
                    (view.rows.len()) " of " (view.all) " shown. Name, role and e-mail are searched."
                }
            }
            ul class="sessions" {
                @for row in view.rows { (person(row)) }
            }
        }
    }
}

fn person(row: &Row<'_>) -> Markup {
    html! {
        li {
            div {
                p class="device" {
                    (row.name) " "
                    @if row.disabled { span class="badge bad" { "disabled" } }
                    @if row.locked { " " span class="badge bad" { "locked" } }
                }
                dl {
                    div { dt { "Role" } dd { (row.role) } }
                    @if let Some(email) = row.email { div { dt { "E-mail" } dd { (email) } } }
                    div { dt { "Second factor" } dd { @if row.has_factor { "app" } @else { "none" } } }
                    div { dt { "Sessions" } dd { (row.sessions) } }
                }
            }
            a class="button quiet" href=(row.path) {
                "Edit" span class="unseen" { " " (row.name) }
            }
        }
    }
}

fn add(view: &Users<'_>) -> Markup {
    let complaint = view.complaint.as_ref();
    let name = Input {
        id: "user",
        label: "Name",
        autocomplete: "off",
        value: Some(view.user),
        is_far_down: true,
        ..Input::default()
    };
    html! {
        section aria-labelledby="add" {
            h2 id="add" { "Add a user" }
            form class="stack" method="post" action="/.portcullis/users" {
                (hidden_csrf(view.csrf))
                (input(&name, complaint))
                (role_field(Role::Operator))
                (email_field(view.email, complaint))
                p class="hint" { "You get a one-time link to hand on, for the first password. Any change of the account ends it." }
                button type="submit" { "Add user" }
            }
        }
    }
}

/// A choice of roles.
pub(super) fn role_field(chosen: Role) -> Markup {
    html! {
        div class="field" {
            label for="role" { "Role" }
            select id="role" name="role" {
                @for role in Role::ALL.into_iter().rev() {
                    option value=(role) selected[role == chosen] { (role) }
                }
            }
        }
    }
}

/// An address, which may be left empty.
pub(super) fn email_field(value: &str, complaint: Option<&Complaint<'_>>) -> Markup {
    let wrong = complaint.filter(|complaint| complaint.field == Some("email"));
    html! {
        div class="field" {
            label for="email" { "E-mail (optional)" }
            @if let Some(complaint) = wrong {
                p class="wrong" aria-hidden="true" { (complaint.text) }
            }
            input id="email" name="email" type="text" inputmode="email" autocomplete="off"
                autocapitalize="none" spellcheck="false" value=(value)
                aria-invalid=[wrong.map(|_| "true")] aria-describedby=[wrong.map(|_| "alert")];
        }
    }
}
