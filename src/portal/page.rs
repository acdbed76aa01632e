//! The frame around every page, and the header fields that guard it.
//!
//! No script runs on a portal page and nothing is loaded from elsewhere; the policy says so to the
//! browser as well, so that markup that slipped through escaping would do nothing (F16).

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets;
use super::view::hidden_csrf;
use crate::wire::{Body, Response};

/// One page, before it is framed.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    /// Whose page it is; with this the page has a bar with the way back and the way out.
    pub(super) account: Option<Account<'a>>,
    pub(super) content: Markup,
}

/// Who is signed in.
pub(super) struct Account<'a> {
    pub(super) user: &'a str,
    pub(super) csrf: &'a str,
    /// The way to the users and the audit list is shown.
    pub(super) administers: bool,
}

/// The whole document.
pub(super) fn frame(page: &Page<'_>) -> Markup {
    let style = html! { link rel="stylesheet" href=(assets::style_path()); };
    framed(page, &style, assets::icon_path())
}

/// The same with style sheet and icon inside, for where nothing else can be loaded.
pub(super) fn frame_alone(page: &Page<'_>) -> Markup {
    let style = html! { style { (PreEscaped(assets::style())) } };
    framed(page, &style, assets::icon_inside())
}

fn framed(page: &Page<'_>, style: &Markup, icon: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (page.title) " · Portcullis" }
                link rel="icon" type="image/svg+xml" href=(icon);
                (style)
            }
            body class=(if page.account.is_some() { "wide" } else { "narrow" }) {
                (bar(page.account.as_ref(), icon))
                main { (page.content) }
            }
        }
    }
}

fn bar(account: Option<&Account<'_>>, icon: &str) -> Markup {
    html! {
        header class="bar" {
            span class="brand" {
                img src=(icon) alt="" width="28" height="28";
                "Portcullis"
            }
            @if let Some(account) = account {
                nav aria-label="Account" {
                    a href="/" { "Start page" }
                    @if account.administers {
                        a href="/.portcullis/users" { "Users" }
                        a href="/.portcullis/audit" { "Audit" }
                    }
                    a href="/.portcullis/account" { "Account" }
                    form method="post" action="/.portcullis/logout" {
                        (hidden_csrf(account.csrf))
                        button class="quiet" type="submit" {
                            "Log out" span class="unseen" { ", " (account.user) }
                        }
                    }
                }
            }
        }
    }
}

/// A page as an answer.
pub(super) fn answer(status: StatusCode, document: Markup) -> Response {
    let mut response = Response::new(Body::from(document.into_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    // Not `no-referrer`: with it a browser says `Origin: null` when a form is posted (Fetch, append
    // a request `Origin` header), and those are refused. Not `same-origin`: with it a panel could see
    // the token of a set-up link in the address that one came from.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    guard(headers);
    response
}

/// A page of [`frame_alone`] as an answer.
pub(super) fn answer_alone(status: StatusCode, document: Markup) -> Response {
    let mut response = answer(status, document);
    let policy = format!(
        "default-src 'none'; style-src '{}'; img-src data:; form-action 'none'; \
         frame-ancestors 'none'; base-uri 'none'",
        assets::style_hash()
    );
    // A hash is text.
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// 303 to a path on this host.
pub(super) fn see_other(path: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    // Paths come from `NextPath` or are written in this room, so they are always header text.
    headers.insert(
        LOCATION,
        HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/")),
    );
    // The page left behind may have a set-up link in its address: the next one need not know.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    guard(headers);
    response
}

fn guard(headers: &mut HeaderMap) {
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

const GUARDS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];
