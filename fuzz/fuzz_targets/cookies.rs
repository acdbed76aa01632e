//! Cookies: the panel never gets the gateway's, and the gateway never takes one of two.
#![no_main]

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use portcullis::wire::cookie::{self, Found};

fuzz_target!(|lines: Vec<&[u8]>| {
    let mut headers = HeaderMap::new();
    for line in lines.into_iter().take(8) {
        let Ok(line) = HeaderValue::from_bytes(line) else {
            return;
        };
        headers.append(COOKIE, line);
    }
    for pair in cookie::for_panel(&headers) {
        let line = pair.to_ascii_lowercase();
        for mark in [b"host-portcullis", b"http-portcullis"] {
            assert!(!line.windows(mark.len()).any(|part| part == mark));
        }
    }
    let found = match cookie::find(&headers, cookie::SESSION) {
        Found::One(value) => Some(value.to_owned()),
        Found::None | Found::Conflict => None,
    };
    if let Some(value) = found {
        assert!(!value.contains(';'));
        headers.append(
            COOKIE,
            HeaderValue::from_static("__Host-Http-portcullis=another"),
        );
        assert!(
            matches!(cookie::find(&headers, cookie::SESSION), Found::Conflict)
                || value == "another"
        );
    }
});
