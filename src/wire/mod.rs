//! HTTP vocabulary that several rooms need: message types, cookies, problem documents, negotiation.

pub mod cookie;
pub mod header;
pub mod negotiate;
pub mod next;
pub mod problem;

pub use next::NextPath;
pub use problem::Problem;

/// The one body type of the house; wraps a stream without copying it.
pub type Body = axum::body::Body;
/// A request on its way in.
pub type Request = http::Request<Body>;
/// An answer on its way out.
pub type Response = http::Response<Body>;
