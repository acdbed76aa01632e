//! The page for whatever went wrong: what, why, and how to go on.

use http::StatusCode;
use maud::{Markup, html};

use super::super::page::{Page, frame, frame_alone};
use super::{capital, sentence};
use crate::wire::Problem;

pub(in crate::portal) fn problem(problem: &Problem) -> Markup {
    let title = capital(problem.title());
    frame(&page(problem, &title))
}

/// The same for where nothing else can be loaded.
pub(in crate::portal) fn problem_alone(problem: &Problem) -> Markup {
    let title = capital(problem.title());
    frame_alone(&page(problem, &title))
}

fn page<'a>(problem: &Problem, title: &'a str) -> Page<'a> {
    Page {
        title,
        account: None,
        content: html! {
            p class="status" { (problem.status().as_u16()) }
            h1 { (title) }
            @if !problem.detail_text().is_empty() {
                p class="lead" { (sentence(problem.detail_text())) }
            }
            @if let Some(reference) = problem.reference() {
                p class="reference" {
                    "Reference " code { (reference) } br;
                    "Give it to the people who run this gateway: it leads them to the cause."
                }
            }
            p class="act" { (ways_on(problem)) }
        },
    }
}

/// What a frame shows in place of a page that needs a sign-in: nobody signs in within a frame, where
/// the address is not seen.
pub(in crate::portal) fn out_of_frame(login: &str) -> Markup {
    frame(&Page {
        title: "Sign-in needed",
        account: None,
        content: html! {
            h1 { "Sign-in needed" }
            p class="lead" { "This part of the page needs you to sign in." }
            p class="act" { a class="button" href=(login) target="_top" { "Sign in" } }
        },
    })
}

fn ways_on(problem: &Problem) -> Markup {
    let status = problem.status();
    if let Some(portal) = problem.text_of("portal") {
        return html! { a class="button" href=(portal) { "To the gateway's pages" } };
    }
    if let Some(gateway) = problem.text_of("gateway") {
        return html! {
            a class="button" href={ (gateway) "/" } { "To the gateway" }
            a class="button quiet" href={ (gateway) "/.portcullis/account" } { "Your account" }
        };
    }
    if let Some(address) = problem.text_of("address") {
        return html! { a class="button" href=(address) { "Open it with https" } };
    }
    if let Some(origin) = problem.text_of("https") {
        return html! { a class="button" href={ (origin) "/" } { "Open " (origin) } };
    }
    match status {
        StatusCode::UNAUTHORIZED => {
            html! { a class="button" href="/.portcullis/login" { "Sign in" } }
        }
        _ if status.is_server_error() => html! {
            // An empty reference is the page itself.
            a class="button" href="" { "Try again" }
            a class="button quiet" href="/" { "Start page" }
        },
        _ => html! {
            a class="button" href="/" { "Start page" }
            a class="button quiet" href="/.portcullis/account" { "Your account" }
        },
    }
}
