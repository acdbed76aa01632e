//! The way in: set-up, login, second factor.

use maud::{Markup, html};

use super::super::page::{Page, frame};
use super::{Complaint, Input, alert, hidden_csrf, hidden_next, input, notice, title};

/// The page behind a one-time link: a first or a new password.
pub(in crate::portal) struct Setup<'a> {
    pub(in crate::portal) csrf: &'a str,
    pub(in crate::portal) user: &'a str,
    pub(in crate::portal) min_length: usize,
    pub(in crate::portal) complaint: Option<Complaint<'a>>,
}

/// User name and password.
pub(in crate::portal) struct Login<'a> {
    pub(in crate::portal) csrf: &'a str,
    pub(in crate::portal) next: &'a str,
    /// The panel and the host that the person is going to.
    pub(in crate::portal) panel: Option<&'a str>,
    pub(in crate::portal) host: &'a str,
    /// What was typed before, or who is signed in already.
    pub(in crate::portal) user: &'a str,
    pub(in crate::portal) notice: Option<&'a str>,
    pub(in crate::portal) complaint: Option<Complaint<'a>>,
}

/// A code from the app, or a recovery code.
pub(in crate::portal) struct SecondFactor<'a> {
    pub(in crate::portal) csrf: &'a str,
    pub(in crate::portal) next: &'a str,
    pub(in crate::portal) user: &'a str,
    /// Where one begins again, as somebody else.
    pub(in crate::portal) login: &'a str,
    /// A recovery code was tried, so that form is open.
    pub(in crate::portal) tries_recovery: bool,
    pub(in crate::portal) complaint: Option<Complaint<'a>>,
}

pub(in crate::portal) fn setup(view: &Setup<'_>) -> Markup {
    let complaint = view.complaint.as_ref();
    let hint = format!("At least {} characters. Spaces count too.", view.min_length);
    // The field before would keep the focus on a password that is right but was repeated wrongly.
    let first = Input {
        id: "password",
        label: "Password",
        is_password: true,
        autocomplete: "new-password",
        hint: Some(&hint),
        min_length: Some(view.min_length),
        autofocus: true,
        ..Input::default()
    };
    let again = Input {
        id: "password_again",
        label: "The same password again",
        hint: None,
        autofocus: false,
        ..first
    };
    frame(&Page {
        title: &title("Choose your password", complaint),
        account: None,
        content: html! {
            h1 { "Choose your password" }
            (alert(complaint))
            p class="lead" {
                "Your user name is " strong class="name" { (view.user) } ". A few words in a row are "
                "easy to remember and hard to guess."
            }
            form method="post" action="/.portcullis/setup" {
                (hidden_csrf(view.csrf))
                // So that password stores keep the password under the right name.
                input class="unseen" type="text" name="username" value=(view.user)
                    autocomplete="username" readonly tabindex="-1" aria-hidden="true";
                (input(&first, complaint))
                (input(&again, complaint))
                button type="submit" { "Set password" }
            }
        },
    })
}

pub(in crate::portal) fn login(view: &Login<'_>) -> Markup {
    let complaint = view.complaint.as_ref();
    let user = Input {
        id: "user",
        label: "User name",
        autocomplete: "username",
        value: Some(view.user),
        autofocus: view.user.is_empty(),
        ..Input::default()
    };
    let password = Input {
        id: "password",
        label: "Password",
        is_password: true,
        autocomplete: "current-password",
        autofocus: !view.user.is_empty(),
        ..Input::default()
    };
    frame(&Page {
        title: &title("Sign in", complaint),
        account: None,
        content: html! {
            h1 { "Sign in" }
            (alert(complaint))
            (notice(view.notice))
            p class="lead" {
                "to continue to "
                @if let Some(panel) = view.panel {
                    strong class="name" { (panel) } " at "
                }
                strong class="name" { (view.host) }
            }
            // To the address of this page: a browser keeps the fragment of what was asked for in it.
            form method="post" {
                (hidden_csrf(view.csrf))
                (hidden_next(view.next))
                (input(&user, complaint))
                (input(&password, complaint))
                button type="submit" { "Sign in" }
            }
            p class="foot" {
                "Forgotten your password? An administrator can give you a new link."
            }
        },
    })
}

pub(in crate::portal) fn second_factor(view: &SecondFactor<'_>) -> Markup {
    let complaint = view.complaint.as_ref();
    let code = Input {
        id: "code",
        label: "Code from your app",
        autocomplete: "one-time-code",
        inputmode: Some("numeric"),
        hint: Some("Six digits, new every half minute. Each works once."),
        autofocus: !view.tries_recovery,
        ..Input::default()
    };
    // A form of its own, because the keyboard with digits can't type one.
    let recovery = Input {
        id: "recovery",
        name: Some("code"),
        label: "Recovery code",
        autocomplete: "off",
        hint: Some("Each works once. Cross it off your list."),
        autofocus: view.tries_recovery,
        ..Input::default()
    };
    let form = |field: Markup, button: &str| {
        html! {
            form method="post" {
                (hidden_csrf(view.csrf))
                (hidden_next(view.next))
                (field)
                button type="submit" { (button) }
            }
        }
    };
    frame(&Page {
        title: &title("Confirm that it is you", complaint),
        account: None,
        content: html! {
            h1 { "Confirm that it is you" }
            (alert(complaint))
            p class="lead" { "Signing in as " strong class="name" { (view.user) } }
            (form(input(&code, complaint.filter(|_| !view.tries_recovery)), "Confirm"))
            details open[view.tries_recovery] {
                summary { "Use a recovery code instead" }
                (form(input(&recovery, complaint.filter(|_| view.tries_recovery)), "Use recovery code"))
            }
            p class="foot" { a href=(view.login) { "Sign in as somebody else" } }
        },
    })
}
