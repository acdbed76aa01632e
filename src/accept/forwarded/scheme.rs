//! By which scheme the client came to the first trusted proxy, as every field that may say so says it.

use http::{HeaderMap, HeaderName};

use super::list;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_SCHEME: HeaderName = HeaderName::from_static("x-forwarded-scheme");
/// `on` or `off`, as balancers said it before there was X-Forwarded-Proto.
const SWITCHES: [HeaderName; 2] = [
    HeaderName::from_static("x-forwarded-ssl"),
    HeaderName::from_static("front-end-https"),
];

/// What all of them say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// With TLS: every field that says something says so.
    Https,
    /// Without TLS: every field that says something says so.
    Http,
    /// No field says anything.
    Untold,
    /// One says that it was TLS, and another that it was not.
    Contradictory,
    /// One says something else than a scheme.
    Unreadable,
}

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Votes {
    https: bool,
    http: bool,
    nonsense: bool,
}

impl Votes {
    /// `https`, `http`, or the same of a WebSocket (RFC 6455 §3): Traefik says `wss` of one.
    pub(super) fn word(&mut self, word: &[u8]) {
        let is =
            |known: &str| list::plain(word).is_some_and(|word| word.eq_ignore_ascii_case(known));
        if is("https") || is("wss") {
            self.https = true;
        } else if is("http") || is("ws") {
            self.http = true;
        } else {
            self.nonsense = true;
        }
    }

    fn switch(&mut self, word: &[u8]) {
        let is =
            |known: &str| list::plain(word).is_some_and(|word| word.eq_ignore_ascii_case(known));
        if is("on") {
            self.https = true;
        } else if is("off") {
            self.http = true;
        } else {
            self.nonsense = true;
        }
    }

    /// Every field that does not need the chain of proxies, and the two lists with its help: `hop` is
    /// the number of trusted proxies between the client's and this gateway's.
    pub(super) fn of_fields(&mut self, headers: &HeaderMap, hop: usize) {
        for name in [&X_FORWARDED_PROTO, &X_FORWARDED_SCHEME] {
            if headers.contains_key(name) {
                self.of_list(headers, name, hop);
            }
        }
        for name in &SWITCHES {
            for word in list::from_the_right(headers, name).take(super::MOST_HOPS) {
                self.switch(word);
            }
        }
    }

    /// A list that has grown with the addresses has the client's scheme where they have the client. One
    /// word is of the whole way: the nearest proxy wrote it, or passed it on. Where the list is shorter
    /// than the way, or says another scheme further left, only words that agree are sure.
    fn of_list(&mut self, headers: &HeaderMap, name: &HeaderName, hop: usize) {
        let words = || list::from_the_right(headers, name).take(super::MOST_HOPS);
        let mut own = Self::default();
        match (words().count(), words().nth(hop)) {
            (0, _) => own.nonsense = true,
            (1, _) | (_, None) => words().for_each(|word| own.word(word)),
            (_, Some(word)) => {
                own.word(word);
                if own.http {
                    words().skip(hop + 1).for_each(|word| own.word(word));
                    own.nonsense = false;
                }
            }
        }
        self.https |= own.https;
        self.http |= own.http;
        self.nonsense |= own.nonsense;
    }

    pub(super) fn outcome(&self) -> Scheme {
        match (self.nonsense, self.https, self.http) {
            (true, _, _) => Scheme::Unreadable,
            (false, true, true) => Scheme::Contradictory,
            (false, true, false) => Scheme::Https,
            (false, false, true) => Scheme::Http,
            (false, false, false) => Scheme::Untold,
        }
    }
}
