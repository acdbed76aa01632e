//! A line of the access log, as text for people and as JSON for programs.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use serde::Serialize;

use super::end::End;
use crate::clock::Timestamp;
use crate::model::LogFormat;
use crate::wire::RequestId;

/// What is told of an exchange.
#[derive(Debug)]
pub struct Line {
    id: RequestId,
    at: Timestamp,
    method: String,
    host: String,
    /// Without the query, in which tokens may stand.
    path: String,
    pub client: Option<IpAddr>,
    pub user: Option<String>,
    /// The public name of the session, not its token.
    pub session: Option<String>,
    /// Who makes a call of the management API: `token:NAME`, or `uid:NUMBER` at the socket.
    pub caller: Option<String>,
    /// What a call asks of its token.
    pub scope: Option<&'static str>,
    /// Why it was refused, or has to sign in first: one word.
    pub cause: Option<String>,
    pub(super) panel: Option<String>,
    pub(super) verdict: &'static str,
    pub(super) status: u16,
    /// How it ended.
    pub(super) end: &'static str,
}

#[derive(Serialize)]
struct Written<'a> {
    time: String,
    request: String,
    client: Option<IpAddr>,
    user: Option<&'a str>,
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    panel: Option<&'a str>,
    verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    status: u16,
    bytes: u64,
    milliseconds: u128,
    end: &'a str,
}

/// The longest method, host and path that are told, in bytes.
const LONGEST: usize = 512;

impl Line {
    pub(super) fn of(id: RequestId, at: Timestamp, parts: &Parts) -> Self {
        let host = parts.uri.authority().map(|host| host.as_str().as_bytes());
        let field = || parts.headers.get(HOST).map(|host| host.as_bytes());
        Self {
            id,
            at,
            method: plain(parts.method.as_str().as_bytes()),
            host: plain(host.or_else(field).unwrap_or_default()),
            path: plain(parts.uri.path().as_bytes()),
            client: None,
            user: None,
            session: None,
            caller: None,
            scope: None,
            cause: None,
            panel: None,
            verdict: "none",
            status: 0,
            end: End::Complete.word(),
        }
    }

    /// A line without a request.
    pub(super) fn unread(id: RequestId, at: Timestamp) -> Self {
        Self {
            method: "-".to_owned(),
            host: "-".to_owned(),
            path: "-".to_owned(),
            ..Self::of(id, at, &http::Request::new(()).into_parts().0)
        }
    }

    /// The line with its end.
    pub(super) fn written(&self, format: LogFormat, bytes: u64, took: Duration) -> String {
        let line = Written {
            time: self.at.rfc3339(),
            request: self.id.to_string(),
            client: self.client,
            user: self.user.as_deref(),
            session: self.session.as_deref(),
            caller: self.caller.as_deref(),
            scope: self.scope,
            method: &self.method,
            host: &self.host,
            path: &self.path,
            panel: self.panel.as_deref(),
            verdict: self.verdict,
            cause: self.cause.as_deref(),
            status: self.status,
            bytes,
            milliseconds: took.as_millis(),
            end: self.end,
        };
        let mut text = match format {
            LogFormat::Json => serde_json::to_string(&line).unwrap_or_default(),
            LogFormat::Text => line.as_text(),
        };
        text.push('\n');
        text
    }
}

impl Written<'_> {
    /// `TIME REQUEST CLIENT USER METHOD HOST PATH PANEL VERDICT STATUS BYTES MILLISECONDSms END`; `-` where
    /// there is nothing. A call has its caller in the place of the user, and `call:SCOPE` as its verdict; a
    /// refusal is `refuse:CAUSE`.
    fn as_text(&self) -> String {
        let mut text = String::with_capacity(192);
        let or_none = |text: Option<&str>| text.unwrap_or("-").replace(' ', "\\u{20}");
        // Writing to a string does not fail.
        let _ = write!(text, "{} {} ", self.time, self.request);
        let _ = match self.client {
            Some(client) => write!(text, "{client}"),
            None => write!(text, "-"),
        };
        let _ = write!(
            text,
            " {} {} {} {} {} {}{} {} {} {}ms {}",
            or_none(self.caller.or(self.user)),
            self.method,
            self.host,
            self.path,
            or_none(self.panel),
            self.verdict,
            self.scope
                .or(self.cause)
                .map(|scope| format!(":{scope}"))
                .unwrap_or_default(),
            self.status,
            self.bytes,
            self.milliseconds,
            self.end,
        );
        text
    }
}

/// What a stranger wrote, so that it can neither begin a line nor steer a terminal.
fn plain(written: &[u8]) -> String {
    let shown = written.get(..LONGEST).unwrap_or(written);
    let mut text = String::with_capacity(shown.len());
    for byte in shown {
        match byte {
            b'\\' | 0..=b' ' | 0x7f.. => {
                let _ = write!(text, "\\x{byte:02x}");
            }
            byte => text.push(char::from(*byte)),
        }
    }
    if shown.len() < written.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str) -> Line {
        let request = http::Request::builder()
            .uri(path)
            .header("host", "panel.example");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let at = Timestamp::from_millis(1_700_000_000_000);
        Line::of(RequestId::next(), at, &parts)
    }

    fn text(line: &Line, format: LogFormat) -> String {
        line.written(format, 12, Duration::from_millis(34))
    }

    #[test]
    fn a_line_says_who_asked_for_what_and_what_became_of_it() {
        let mut line = line("/users/?token=secret");
        line.user = Some("ada".to_owned());
        line.panel = Some("back office".to_owned());
        line.status = 200;
        let told = text(&line, LogFormat::Text);
        let id = line.id;
        assert_eq!(
            told,
            format!(
                "2023-11-14T22:13:20Z {id} - ada GET panel.example /users/ back\\u{{20}}office none 200 12 34ms complete\n"
            )
        );
        let told: serde_json::Value = serde_json::from_str(&text(&line, LogFormat::Json)).unwrap();
        assert_eq!(told["path"], "/users/");
        assert_eq!(told["request"], line.id.to_string());
        assert_eq!(told["user"], "ada");
        assert_eq!(told["client"], serde_json::Value::Null);
    }

    #[test]
    fn what_strangers_write_stays_in_its_place() {
        assert_eq!(plain(b"/a\r\nfake"), "/a\\x0d\\x0afake");
        assert_eq!(plain(b"\x1b[2J \xff\\"), "\\x1b[2J\\x20\\xff\\x5c");
        assert_eq!(plain(&[b'a'; 600]).chars().count(), LONGEST + 1);
    }
}
