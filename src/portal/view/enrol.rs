//! A new second factor, and the codes for the day on which it is lost.

use maud::{Markup, PreEscaped, html};

use super::super::page::{Page, frame};
use super::{Complaint, Input, alert, hidden_csrf, hidden_next, input, notice, title};

/// A fresh secret, to be taken into an app.
pub(in crate::portal) struct Enrol<'a> {
    pub(in crate::portal) csrf: &'a str,
    pub(in crate::portal) next: &'a str,
    pub(in crate::portal) user: &'a str,
    pub(in crate::portal) secret: &'a str,
    /// Drawn by the gateway, so it is not escaped.
    pub(in crate::portal) qr_svg: &'a str,
    /// How long the secret is good from now on.
    pub(in crate::portal) minutes: u64,
    /// The browser may have been shown another one before.
    pub(in crate::portal) is_another: bool,
    pub(in crate::portal) complaint: Option<Complaint<'a>>,
}

/// The recovery codes, the one time that they are seen.
pub(in crate::portal) struct RecoveryCodes<'a> {
    pub(in crate::portal) codes: &'a [String],
    pub(in crate::portal) next: &'a str,
}

pub(in crate::portal) fn enrol(view: &Enrol<'_>) -> Markup {
    let complaint = view.complaint.as_ref();
    let code = Input {
        id: "code",
        label: "The code that the app shows",
        autocomplete: "one-time-code",
        inputmode: Some("numeric"),
        hint: Some("Six digits, new every half minute."),
        autofocus: true,
        ..Input::default()
    };
    frame(&Page {
        title: &title("Set up your second factor", complaint),
        account: None,
        content: html! {
            h1 { "Set up your second factor" }
            (alert(complaint))
            p class="lead" {
                "From now on " strong class="name" { (view.user) }
                " signs in with the password and a code from an app on your phone."
            }
            @if view.is_another {
                (notice(Some("This is a new secret. If your app has an entry from before, remove the entry: its \
                    codes do not work.")))
            }
            ol class="steps" {
                li {
                    p { "Open your authenticator app and scan this picture:" }
                    div class="qr" role="img" aria-label="QR code that holds the secret below" {
                        (PreEscaped(view.qr_svg))
                    }
                    p { "Or type this secret into the app:" }
                    p { code id="totp-secret" class="secret" { (view.secret) } }
                    p class="hint" id="time-left" {
                        "You have " (minutes(view.minutes)) ". Until then this browser shows the same "
                        "secret, also when you come back to this page or sign in again. Later you get a new "
                        "one. A change of your account, by you or by an administrator, ends this at once."
                    }
                }
                li {
                    form method="post" {
                        (hidden_csrf(view.csrf))
                        (hidden_next(view.next))
                        (input(&code, complaint))
                        button type="submit" { "Turn on" }
                    }
                }
            }
        },
    })
}

fn minutes(count: u64) -> String {
    match count {
        0 | 1 => "one minute".to_owned(),
        count => format!("{count} minutes"),
    }
}

pub(in crate::portal) fn recovery_codes(view: &RecoveryCodes<'_>) -> Markup {
    frame(&Page {
        title: "Keep your recovery codes",
        account: None,
        content: html! {
            h1 { "Keep your recovery codes" }
            p class="lead" {
                "Your second factor is on. When you lose your phone, one of these codes signs you in "
                "instead. Each works once."
            }
            p class="notice" {
                "They are shown only now. Print them, or put them into your password store."
            }
            ul class="codes" aria-label="Recovery codes" {
                @for code in view.codes {
                    li { code class="recovery-code" { (code) } }
                }
            }
            p class="act" { a class="button" href=(view.next) autofocus { "I have kept them, go on" } }
        },
    })
}
