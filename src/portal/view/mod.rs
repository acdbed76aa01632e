//! Pages as pure functions: a small struct with what is to be seen goes in, markup comes out.
//!
//! Nothing here decides anything. maud escapes every text; the only markup taken as it stands is the
//! QR code that the gateway drew itself.

pub(super) mod account;
pub(super) mod audit;
pub(super) mod enrol;
pub(super) mod problem;
pub(super) mod sign_in;
pub(super) mod user;
pub(super) mod users;

use maud::{Markup, html};

use crate::wire::Problem;

/// What was wrong with a form, and with which field of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Complaint<'a> {
    pub(super) field: Option<&'static str>,
    pub(super) text: &'a str,
}

impl<'a> Complaint<'a> {
    /// The sentence of a problem, tied to a field.
    pub(super) fn of(problem: &'a Problem, field: Option<&'static str>) -> Self {
        Self {
            field,
            text: problem.detail_text(),
        }
    }
}

/// One labelled field.
#[derive(Debug, Clone, Copy, Default)]
struct Input<'a> {
    id: &'static str,
    /// The name in the form; the id unless given.
    name: Option<&'static str>,
    label: &'a str,
    is_password: bool,
    autocomplete: &'static str,
    /// The keyboard that a phone shows.
    inputmode: Option<&'static str>,
    value: Option<&'a str>,
    hint: Option<&'a str>,
    min_length: Option<usize>,
    autofocus: bool,
    /// The page is long: the complaint stands at the field too, for the eye.
    is_far_down: bool,
}

/// The field that ties a form to the one who fetched it.
pub(super) fn hidden_csrf(csrf: &str) -> Markup {
    html! { input type="hidden" name="csrf" value=(csrf); }
}

fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// Where a form leads on to. A very long address would not fit into the form, and stands in the address that
/// the form is sent to.
fn hidden_next(next: &str) -> Markup {
    html! { @if next.len() <= MOST_HIDDEN { (hidden("next", next)) } }
}

const MOST_HIDDEN: usize = 2048;

/// Read out by screen readers as soon as the page is there; fields refer to it.
fn alert(complaint: Option<&Complaint<'_>>) -> Markup {
    html! {
        @if let Some(complaint) = complaint {
            p role="alert" class="alert" id="alert" { (complaint.text) }
        }
    }
}

/// Good news, or the reason why one is here.
fn notice(text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            p role="status" class="notice" { (text) }
        }
    }
}

/// A page that complains says so in its title too: it is what a screen reader reads first.
fn title(plain: &'static str, complaint: Option<&Complaint<'_>>) -> String {
    match complaint {
        Some(_) => format!("Not done: {plain}"),
        None => plain.to_owned(),
    }
}

fn input(input: &Input<'_>, complaint: Option<&Complaint<'_>>) -> Markup {
    let name = input.name.unwrap_or(input.id);
    let is_wrong = complaint.is_some_and(|complaint| complaint.field == Some(name));
    let hint_id = input.hint.map(|_| format!("{}-hint", input.id));
    let described: Vec<&str> = is_wrong
        .then_some("alert")
        .into_iter()
        .chain(hint_id.as_deref())
        .collect();
    let described = (!described.is_empty()).then(|| described.join(" "));
    html! {
        div class="field" {
            label for=(input.id) { (input.label) }
            @if let Some(complaint) = complaint.filter(|_| is_wrong && input.is_far_down) {
                p class="wrong" aria-hidden="true" { (complaint.text) }
            }
            input id=(input.id) name=(name)
                type=(if input.is_password { "password" } else { "text" })
                autocomplete=(input.autocomplete)
                autocapitalize="none" autocorrect="off" spellcheck="false"
                inputmode=[input.inputmode]
                value=[input.value]
                minlength=[input.min_length]
                aria-invalid=[is_wrong.then_some("true")]
                aria-describedby=[described]
                required autofocus[input.autofocus];
            @if let (Some(hint), Some(id)) = (input.hint, hint_id.as_deref()) {
                p class="hint" id=(id) { (hint) }
            }
        }
    }
}

/// Problems are told in fragments; a page begins them with a capital letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The same as a whole sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut text = capital(text);
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}
