//! The panel's pages.

use std::collections::BTreeMap;

use http::Request;
use hyper::body::Incoming;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The panel's own users, which have nothing to do with those of the gateway.
const USERS: [(&str, &str, &str); 4] = [
    ("ada", "Ada Lovelace", "analyst"),
    ("grace", "Grace Hopper", "operator"),
    ("edsger", "Edsger Dijkstra", "reviewer"),
    ("barbara", "Barbara Liskov", "manager"),
];

pub(super) fn start(request: &Request<Incoming>) -> Markup {
    let header = |name: &str| {
        let value = request.headers().get(name);
        let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        text.unwrap_or_else(|| "nobody".to_owned())
    };
    frame(
        "Start",
        &html! {
            p { "The gateway says that you are " b id="user" { (header("x-forwarded-user")) }
                ", with the role " b id="role" { (header("x-forwarded-role")) } "." }
            p { "This panel has no sign-in of its own. It does what it is told:" }
            ul {
                li { a href="/users/" { "a list of users with edit" } }
                li { a href="/events/" { "a page that streams events" } }
                li { a href="/socket/" { "a WebSocket" } }
                li { a href="/download/" { "downloads" } ", " a href="/upload/" { "an upload" } }
            }
        },
    )
}

pub(super) fn users(changes: &BTreeMap<usize, u32>) -> Markup {
    frame(
        "Users",
        &html! {
            table {
                tr { th { "Login" } th { "Name" } th { "Job" } th { "Password changed" } th {} }
                @for (number, (login, name, job)) in USERS.iter().enumerate() {
                    tr {
                        td { (login) } td { (name) } td { (job) }
                        td { (changes.get(&number).copied().unwrap_or(0)) "×" }
                        td { a href={ "/users/" (login) "/" } { "edit" } }
                    }
                }
            }
        },
    )
}

pub(super) fn user(login: &str) -> Option<Markup> {
    let (_, name, job) = USERS.iter().find(|(known, _, _)| *known == login)?;
    Some(frame(
        &format!("Edit {name}"),
        &html! {
            p { (job) }
            form method="post" action={ "/users/" (login) "/password" } {
                p { label { "New password: " input type="password" name="new_password" required; } }
                p { input type="submit" value="Change password"; }
            }
            p { "Only administrators may post this form: the gateway sees to it, this page does not know." }
        },
    ))
}

/// Which of the users a path names.
pub(super) fn number_of(login: &str) -> Option<usize> {
    USERS.iter().position(|(known, _, _)| *known == login)
}

pub(super) fn events() -> Markup {
    frame(
        "Events",
        &html! {
            p { "One event a second: " span #state { "connecting" } }
            pre #log {}
            (script("const source = new EventSource('/events/stream');
source.onopen = () => state('open', 'on');
source.onmessage = event => line(event.data);
source.onerror = () => { source.close(); state('closed', 'off'); };"))
        },
    )
}

pub(super) fn socket() -> Markup {
    frame(
        "WebSocket",
        &html! {
            p { "A tick a second, and an echo: " span #state { "connecting" } }
            form #say { input name="text" value="hello" aria-label="Text"; " " button { "Send" } }
            pre #log {}
            (script("const socket = new WebSocket('wss://' + location.host + '/socket/ws');
socket.onopen = () => state('open', 'on');
socket.onmessage = event => line(event.data);
socket.onclose = event => state('closed ' + event.code + ' ' + event.reason, 'off');
document.getElementById('say').onsubmit = event => { event.preventDefault(); socket.send(event.target.text.value); };"))
        },
    )
}

pub(super) fn download() -> Markup {
    frame(
        "Downloads",
        &html! {
            ul {
                li { a href="/download/report.csv" { "report.csv" } ", which takes minutes" }
                li { a href="/download/blob?bytes=104857600" { "100 MiB" } " as fast as it goes" }
            }
        },
    )
}

pub(super) fn upload(bytes: Option<u64>) -> Markup {
    frame(
        "Upload",
        &html! {
            @if let Some(bytes) = bytes { p #taken { "Taken: " (bytes) " bytes." } }
            form method="post" action="/upload/" enctype="multipart/form-data" {
                p { input type="file" name="file" aria-label="File"; }
                p { input type="submit" value="Upload"; }
            }
        },
    )
}

fn frame(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " | Back office" }
                link rel="stylesheet" href="/static/panel.css";
            }
            body {
                div #head { b { "Back office" } span { "version 2.3.1 (2011)" } }
                div #nav {
                    a href="/" { "Start" } a href="/users/" { "Users" } a href="/events/" { "Events" }
                    a href="/socket/" { "WebSocket" } a href="/download/" { "Downloads" }
                    a href="/upload/" { "Upload" } a href="/.portcullis/account" { "Your account" }
                }
                div #main { h1 { (title) } (content) }
            }
        }
    }
}

fn script(code: &str) -> Markup {
    html! {
        script {
            (PreEscaped("function state(text, name) { const e = document.getElementById('state'); e.textContent = text; e.className = name; }
function line(text) { const e = document.getElementById('log'); e.textContent = text + '\\n' + e.textContent; }
"))
            (PreEscaped(code.to_owned()))
        }
    }
}
