//! Pages for people, under `/.portcullis/`.

mod assets;
mod csrf;
mod form;
mod page;
mod view;

use crate::wire::{Problem, Response};

/// The page for whatever went wrong, with the status and the header fields of the problem.
pub fn error_page(problem: &Problem) -> Response {
    let mut response = page::answer(problem.status(), view::problem::problem(problem));
    let headers = response.headers_mut();
    for (name, value) in problem.headers() {
        headers.append(name, value.clone());
    }
    response
}

#[cfg(test)]
mod tests;
