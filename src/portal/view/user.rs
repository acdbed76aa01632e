//! One user, as administrators see and change them.

use maud::{Markup, html};

use super::super::page::{Account as Owner, Page, frame};
use super::account::moment;
use super::users::{email_field, role_field};
use super::{Complaint, alert, hidden_csrf, notice, title};
use crate::clock::Timestamp;
use crate::model::Role;

/// The page of one user.
pub(in crate::portal) struct User<'a> {
    pub(in crate::portal) csrf: &'a str,
    pub(in crate::portal) me: &'a str,
    pub(in crate::portal) name: &'a str,
    pub(in crate::portal) path: &'a str,
    pub(in crate::portal) role: Role,
    pub(in crate::portal) email: Option<&'a str>,
    pub(in crate::portal) disabled: bool,
    /// By failed sign-ins in a row.
    pub(in crate::portal) locked: bool,
    pub(in crate::portal) is_me: bool,
    pub(in crate::portal) has_password: bool,
    pub(in crate::portal) has_factor: bool,
    pub(in crate::portal) sessions: &'a [SessionRow<'a>],
    /// Where connections are counted, with a blank before it; empty where there is one node.
    pub(in crate::portal) place: &'static str,
    pub(in crate::portal) min_length: usize,
    /// How many past passwords can't be used again.
    pub(in crate::portal) history: usize,
    pub(in crate::portal) now: Timestamp,
    pub(in crate::portal) notice: Option<&'a str>,
    pub(in crate::portal) setup_url: Option<&'a str>,
    pub(in crate::portal) suggestion: Option<&'a str>,
    pub(in crate::portal) complaint: Option<Complaint<'a>>,
}

/// One of the user's sessions.
pub(in crate::portal) struct SessionRow<'a> {
    pub(in crate::portal) device: &'a str,
    pub(in crate::portal) address: String,
    pub(in crate::portal) last_seen: Timestamp,
    pub(in crate::portal) connections: usize,
}

pub(in crate::portal) fn user(view: &User<'_>) -> Markup {
    let complaint = view.complaint.as_ref();
    frame(&Page {
        title: &title("User", complaint),
        account: Some(Owner {
            user: view.me,
            csrf: view.csrf,
            administers: true,
        }),
        content: html! {
            h1 class="name" { (view.name) }
            (alert(complaint))
            (notice(view.notice))
            p class="lead" {
                (view.role)
                @if let Some(email) = view.email { " · " (email) }
                @if view.disabled { " " span class="badge bad" { "disabled" } }
                @if view.locked { " " span class="badge bad" { "locked" } }
            }
            @if view.locked {
                p class="hint" {
                    "Too many sign-ins failed in a row. A new password, a one-time link or a reset of the \
                     second factor lets " (view.name) " in again; open sessions go on."
                }
            }
            @if let Some(url) = view.setup_url { (link(url)) }
            (sessions(view))
            @if view.is_me {
                section aria-label="Your own account" {
                    p {
                        "This is you. Your password is changed on "
                        a href="/.portcullis/account" { "your account page" }
                        "; the rest is for another administrator to change."
                    }
                }
            } @else {
                (password(view))
                (second_factor(view))
                (account(view))
                (ending(view))
            }
        },
    })
}

fn link(url: &str) -> Markup {
    html! {
        section aria-labelledby="link" {
            h2 id="link" { "One-time link" }
            p { code class="secret" id="setup-url" { (url) } }
            p class="hint" {
                "Hand it on by a way that you trust. It is shown this once, is good for one day, "
                "and an older one is dead. Any change of the account ends it, too: a role, an e-mail "
                "address, a password, a reset of the second factor, “Log out of all devices”, disabling "
                "and enabling. After one, make a new link here."
            }
        }
    }
}

/// A form of one button.
fn button(view: &User<'_>, act: &str, class: &str, label: &str) -> Markup {
    html! {
        form method="post" action={ (view.path) "/" (act) } {
            (hidden_csrf(view.csrf))
            button class=(class) type="submit" { (label) }
        }
    }
}

fn sessions(view: &User<'_>) -> Markup {
    let open: usize = view.sessions.iter().map(|row| row.connections).sum();
    html! {
        section aria-labelledby="sessions" {
            h2 id="sessions" { "Sessions" }
            ul class="sessions" {
                @for row in view.sessions {
                    li {
                        div {
                            p class="device" { (row.device) }
                            dl {
                                div { dt { "Address" } dd { (row.address) } }
                                div { dt { "Last seen" } dd { (moment(row.last_seen, view.now)) } }
                                div { dt { "Open connections" } dd { (row.connections) } }
                            }
                        }
                    }
                }
            }
            div class="all" {
                p id="counts" {
                    "Sessions: " strong { (view.sessions.len()) } ", open connections" (view.place) ": "
                    strong { (open) } ". Logging out ends them all at once and cuts what is open."
                }
                (button(view, "logout-all", "danger", "Log out of all devices"))
            }
        }
    }
}

fn password(view: &User<'_>) -> Markup {
    let wrong = view
        .complaint
        .filter(|complaint| complaint.field == Some("new_password"));
    // What was suggested is there to be read and handed on.
    let kind = if view.suggestion.is_some() {
        "text"
    } else {
        "password"
    };
    html! {
        section aria-labelledby="password" {
            h2 id="password" { "Password" }
            @if !view.has_password { p { "None is set yet." } }
            form method="post" action={ (view.path) "/password" } {
                (hidden_csrf(view.csrf))
                div class="field" {
                    label for="new_password" { "New password" }
                    @if let Some(complaint) = wrong {
                        p class="wrong" aria-hidden="true" { (complaint.text) }
                    }
                    div class="beside" {
                        input id="new_password" name="new_password" type=(kind) required
                            value=[view.suggestion] autocomplete="new-password" autocapitalize="none"
                            spellcheck="false" minlength=(view.min_length)
                            aria-invalid=[wrong.map(|_| "true")] aria-describedby="new_password-hint";
                        a class="button quiet" href={ (view.path) "?suggest=1#password" } {
                            "Suggest one"
                        }
                    }
                    p class="hint" id="new_password-hint" { (strength(view)) }
                }
                button type="submit" { "Set password" }
            }
            (button(view, "setup-link", "quiet after", "Make a one-time link instead"))
        }
    }
}

fn strength(view: &User<'_>) -> Markup {
    html! {
        @if view.suggestion.is_some() {
            "Very strong: a hundred random bits. Note it now: it is not shown again. "
        } @else {
            "At least " (view.min_length) " characters; common passwords are refused"
            @if view.history > 0 { ", and the last " (view.history) " of this user" }
            ". "
        }
        "Setting it ends every session of this user."
    }
}

fn second_factor(view: &User<'_>) -> Markup {
    html! {
        section aria-labelledby="factor" {
            h2 id="factor" { "Second factor" }
            @if view.has_factor {
                p { "Authenticator app. Resetting it ends every session; the next sign-in sets up a new one." }
                (button(view, "reset-second-factor", "danger", "Reset second factor"))
            } @else {
                p { "None is set up." }
            }
        }
    }
}

fn account(view: &User<'_>) -> Markup {
    html! {
        section aria-labelledby="account" {
            h2 id="account" { "Role and e-mail" }
            form class="stack" method="post" action={ (view.path) "/role" } {
                (hidden_csrf(view.csrf))
                (role_field(view.role))
                button class="quiet" type="submit" { "Change role" }
            }
            form class="stack after" method="post" action={ (view.path) "/email" } {
                (hidden_csrf(view.csrf))
                (email_field(view.email.unwrap_or_default(), view.complaint.as_ref()))
                button class="quiet" type="submit" { "Change e-mail" }
            }
            p class="hint" { "A change of either ends every session of this user." }
        }
    }
}

fn ending(view: &User<'_>) -> Markup {
    html! {
        section aria-labelledby="ending" {
            h2 id="ending" { "Disable or remove" }
            p {
                "Somebody who is disabled can't sign in, and has no session. "
                "Removing can't be undone."
            }
            div class="act" {
                @if view.disabled { (button(view, "enable", "quiet", "Enable")) }
                @else { (button(view, "disable", "danger", "Disable")) }
            }
            details {
                summary { "Remove" }
                p { "Nothing of " strong class="name" { (view.name) } " is left but what the audit list tells." }
                (button(view, "remove", "danger", "Remove for good"))
            }
        }
    }
}
