//! One's own account: where one is signed in, the password, the second factor.

use std::time::Duration;

use maud::{Markup, html};

use super::super::page::{Account as Owner, Page, frame};
use super::{Complaint, Input, alert, hidden_csrf, input, notice, title};
use crate::clock::Timestamp;

/// The account page.
pub(in crate::portal) struct Account<'a> {
    pub(in crate::portal) csrf: &'a str,
    pub(in crate::portal) user: &'a str,
    pub(in crate::portal) role: &'a str,
    pub(in crate::portal) administers: bool,
    pub(in crate::portal) email: Option<&'a str>,
    pub(in crate::portal) sessions: &'a [SessionRow<'a>],
    pub(in crate::portal) factor: Factor,
    pub(in crate::portal) min_length: usize,
    pub(in crate::portal) now: Timestamp,
    pub(in crate::portal) notice: Option<&'a str>,
    pub(in crate::portal) complaint: Option<Complaint<'a>>,
}

/// One session of the list.
pub(in crate::portal) struct SessionRow<'a> {
    pub(in crate::portal) id: String,
    pub(in crate::portal) device: &'a str,
    pub(in crate::portal) address: String,
    pub(in crate::portal) created: Timestamp,
    pub(in crate::portal) last_seen: Timestamp,
    pub(in crate::portal) is_this: bool,
}

/// What guards the account beside the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::portal) enum Factor {
    None,
    App { recovery_codes: usize },
}

pub(in crate::portal) fn account(view: &Account<'_>) -> Markup {
    let complaint = view.complaint.as_ref();
    frame(&Page {
        title: &title("Your account", complaint),
        account: Some(Owner {
            user: view.user,
            csrf: view.csrf,
            administers: view.administers,
        }),
        content: html! {
            h1 { "Your account" }
            (alert(complaint))
            (notice(view.notice))
            p class="lead" {
                "Signed in as " strong class="name" { (view.user) } ", " (view.role)
                @if let Some(email) = view.email { " · " (email) }
            }
            (sessions(view))
            (password(view))
            (second_factor(view.factor))
        },
    })
}

fn sessions(view: &Account<'_>) -> Markup {
    html! {
        section aria-labelledby="sessions" {
            h2 id="sessions" { "Where you are signed in" }
            ul class="sessions" {
                @for row in view.sessions { (session(row, view)) }
            }
            form class="all" method="post" action="/.portcullis/account/logout-all" {
                (hidden_csrf(view.csrf))
                p id="all-hint" {
                    "Do you miss a device, or see one that is not yours? This ends every session of "
                    "yours at once, this one too, and cuts what they have open. Then sign in again, "
                    "and change your password."
                }
                button class="danger" type="submit" aria-describedby="all-hint" {
                    "Log out of all devices"
                }
            }
            form class="all" method="post" action="/.portcullis/logout" {
                (hidden_csrf(view.csrf))
                p id="forget-hint" {
                    "This browser is known as one in which you sign in, so that wrong passwords that others "
                    "try with your name do not keep you out here. Is it not yours? Let it forget you."
                }
                button class="quiet" type="submit" name="forget" value="device"
                    aria-describedby="forget-hint" {
                    "Log out and forget this device"
                }
            }
        }
    }
}

fn session(row: &SessionRow<'_>, view: &Account<'_>) -> Markup {
    html! {
        li {
            div {
                p class="device" {
                    (row.device)
                    @if row.is_this { " " span class="badge" { "this device" } }
                }
                dl {
                    div { dt { "Address" } dd { (row.address) } }
                    div { dt { "Last seen" } dd { (moment(row.last_seen, view.now)) } }
                    div { dt { "Signed in" } dd { (moment(row.created, view.now)) } }
                }
            }
            form method="post" action={ "/.portcullis/account/sessions/" (row.id) "/end" } {
                (hidden_csrf(view.csrf))
                button class="quiet" type="submit" {
                    "End session" span class="unseen" { " of " (row.device) " at " (row.address) }
                }
            }
        }
    }
}

fn password(view: &Account<'_>) -> Markup {
    let complaint = view.complaint.as_ref();
    let hint = format!("At least {} characters. Spaces count too.", view.min_length);
    let new = Input {
        id: "new_password",
        label: "New password",
        is_password: true,
        autocomplete: "new-password",
        hint: Some(&hint),
        min_length: Some(view.min_length),
        is_far_down: true,
        ..Input::default()
    };
    let current = Input {
        id: "current_password",
        label: "Current password",
        autocomplete: "current-password",
        hint: None,
        min_length: None,
        autofocus: complaint.is_some_and(|complaint| complaint.field.is_some()),
        ..new
    };
    let again = Input {
        id: "new_password_again",
        label: "The new password again",
        hint: None,
        ..new
    };
    html! {
        section aria-labelledby="password" {
            h2 id="password" { "Change password" }
            form class="stack" method="post" action="/.portcullis/account/password" {
                (hidden_csrf(view.csrf))
                input class="unseen" type="text" name="username" value=(view.user)
                    autocomplete="username" readonly tabindex="-1" aria-hidden="true";
                (input(&current, complaint))
                (input(&new, complaint))
                (input(&again, complaint))
                p class="hint" id="password-hint" {
                    "This ends every session of yours, this one too. Sign in with the new password then."
                }
                button type="submit" aria-describedby="password-hint" { "Change password" }
            }
        }
    }
}

fn second_factor(factor: Factor) -> Markup {
    html! {
        section aria-labelledby="factor" {
            h2 id="factor" { "Second factor" }
            @match factor {
                Factor::None => p { "None is set up. Your account is guarded by the password alone." },
                Factor::App { recovery_codes } => {
                    p {
                        span class="badge good" { "on" } " Authenticator app. "
                        @match recovery_codes {
                            0 => "No recovery code is left: if you lose your phone, only an \
                                  administrator can let you in.",
                            1 => "One recovery code is left.",
                            n => { (n) " recovery codes are left." },
                        }
                    }
                }
            }
        }
    }
}

/// A time as people say it, with the exact one for programs and on hovering.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let exact = at.rfc3339();
    html! { time datetime=(exact) title=(exact) { (ago(now.since(at))) } }
}

fn ago(span: Duration) -> String {
    let (count, unit) = match span.as_secs() {
        0..60 => return "just now".to_owned(),
        seconds @ 60..3600 => (seconds / 60, "minute"),
        seconds @ 3600..86400 => (seconds / 3600, "hour"),
        seconds => (seconds / 86400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_words() {
        for (seconds, words) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (3600, "1 hour ago"),
            (2 * 86400, "2 days ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), words);
        }
    }
}
