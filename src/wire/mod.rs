//! HTTP vocabulary that several rooms need: message types, cookies, problem documents, negotiation.

use http::Method;

pub mod authority;
pub mod body;
pub mod cookie;
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

/// The methods that are forwarded to panels, and that rules can name: RFC 9110 §9.3 without CONNECT
/// and TRACE, with PATCH (RFC 5789).
pub const FORWARDED_METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];
