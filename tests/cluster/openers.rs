//! What opens something for a user, and what does not: rule 2 of the design as a list, held against the
//! tables of both engines by `authority`.

use portcullis::login::{Devices, ShownDevice};
use portcullis::model::User;
use portcullis::store::Store;

/// Tables in which something stands that opens something for a user: each has the generation at which
/// that was given, and gives nothing once the user's generation has moved on.
pub(super) const HANG_ON_THE_GENERATION: [&str; 3] = ["sessions", "setup_links", "sign_ins"];

/// The other tables, and why nothing in them opens anything that a raised generation should end.
pub(super) const OPEN_NOTHING: [(&str, &str); 17] = [
    ("_sqlx_migrations", "versions of the tables"),
    (
        "users",
        "a password begins a sign-in at the generation of that moment",
    ),
    (
        "totp_factors",
        "a code counts only in a half sign-in, which hangs on the generation",
    ),
    (
        "recovery_codes",
        "as a code of an app; a reset takes them away",
    ),
    ("past_passwords", "what is in it is refused"),
    (
        "tokens",
        "of programs, which no user stands behind: each has an end of its own",
    ),
    ("audit", "what happened"),
    ("seal_check", "tells a wrong master key"),
    ("failures", "counts"),
    ("guesses", "counts"),
    ("feed", "what was ended"),
    ("head", "the place in the feed"),
    ("nodes", "who serves"),
    ("closings", "counts"),
    (
        "ended_sessions",
        "tokens of sessions that are over, with the reason",
    ),
    ("probe", "random bytes"),
    (
        "unanswered",
        "acts that are done; no one shows what is in it",
    ),
];

/// What hangs on the generation and stands in no table: the cookie says it, and its seal is over the user's
/// generation. It opens nothing, but spares a person the wait that strangers have brought about.
pub(super) const HANG_WITHOUT_A_TABLE: [fn(&Store, &User) -> Holds; 1] = [device];

/// Whether something that was given to a user is still taken.
pub(super) type Holds = Box<dyn Fn(&User) -> bool + Send>;

/// The cookie of a browser in which the user has signed in.
fn device(store: &Store, user: &User) -> Holds {
    let (devices, now) = (Devices::new(&store.device_key()), store.clock().now());
    let shown = ShownDevice {
        cookie: Some(devices.cookie(user, "gate.example", now)),
        host: "gate.example".to_owned(),
    };
    Box::new(move |user| devices.recognise(&shown, user, now).is_some())
}
