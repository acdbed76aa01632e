//! HTTP vocabulary that several rooms need: message types, cookies, problem documents, negotiation.

use http::Method;

pub mod authority;
pub mod body;
pub mod cookie;
pub mod fold;
pub mod framing;
pub mod header;
pub mod negotiate;
pub mod next;
pub mod own_answer;
pub mod problem;
mod request_id;
pub mod site;
mod spoken_for;

pub use authority::Authority;
pub use next::NextPath;
pub use problem::Problem;
pub use request_id::RequestId;

/// The one body type of the house; wraps a stream without copying it.
pub type Body = axum::body::Body;
/// A request on its way in.
pub type Request = http::Request<Body>;
/// An answer on its way out.
pub type Response = http::Response<Body>;

/// The methods that a rule may open to anyone: RFC 9110 §9.3 without CONNECT and TRACE, with PATCH
/// (RFC 5789). Others pass for a live session alone.
pub const OPEN_METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Whether the method is one that no panel is sent: a tunnel (RFC 9110 §9.3.6), or one that answers with
/// what it was asked, cookies and all (§9.3.8). In any letter case, as some panels take no notice of it.
pub fn is_never_forwarded(method: &Method) -> bool {
    ["CONNECT", "TRACE", "TRACK"]
        .iter()
        .any(|name| method.as_str().eq_ignore_ascii_case(name))
}
