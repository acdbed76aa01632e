//! What is measured on: a browser's request, rules of a panel, a table full of sessions.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request};
use portcullis::clock::{Clock, Timestamp};
use portcullis::config::{Allow, Rule, SessionLimits};
use portcullis::model::{
    Generation, Role, SessionId, SessionRecord, TokenHash, User, UserId, UserName,
};
use portcullis::secret::sha256;
use portcullis::session::Sessions;

/// Most paths look like this.
pub(crate) const PLAIN: &str = "/users/4711/devices";

/// Some readings more to judge: this is how a file of a person is called.
pub(crate) const CODED: &str = "/users/4711/Jahres%C3%BCbersicht%202026.pdf";

/// What a browser sends behind the request line of a call that a page makes: some 700 bytes.
const FIELDS: &str = "\
Host: panel.example
Connection: keep-alive
sec-ch-ua-platform: \"Windows\"
User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36
Accept: application/json
sec-ch-ua: \"Chromium\";v=\"150\", \"Google Chrome\";v=\"150\"
sec-ch-ua-mobile: ?0
Sec-Fetch-Site: same-origin
Sec-Fetch-Mode: cors
Sec-Fetch-Dest: empty
Referer: https://panel.example/users/4711
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: de-DE,de;q=0.9,en;q=0.8
Cookie: csrftoken=Zq3tXw8YbN5mKc2rVd7sLp9fHj4gTa6u; sessionid=k7wq2x9zr4m1c8v5b3n6j0hgfdsapoiu; __Host-Http-portcullis=0123456789abcdefghijklmnopqrstuvwxyzABCDEFG; theme=dark";

/// The head of a browser's request for `path`.
pub(crate) fn request(path: &str) -> Parts {
    let mut request = Request::get(format!("{path}?page=2&sort=name"));
    for field in FIELDS.lines() {
        let (name, value) = field.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

/// Rules of a panel of which none is about the paths here, so that all are looked at.
pub(crate) fn rules(count: usize) -> Vec<Rule> {
    (0..count)
        .map(|number| Rule {
            path: format!("/section-{number}/"),
            methods: (number % 2 == 0).then(|| vec![Method::GET, Method::POST]),
            allow: match number % 3 {
                0 => Allow::Anyone,
                1 => Allow::SignedIn,
                _ => Allow::Roles(vec![Role::Administrator]),
            },
            reauthenticate: None,
        })
        .collect()
}

/// A table of sessions in front of which time stands still.
pub(crate) struct House {
    pub(crate) sessions: Sessions,
    pub(crate) now: Timestamp,
    /// Of everybody in the table. Not in the order of admission, in which they may lie in memory.
    pub(crate) tokens: Vec<TokenHash>,
    /// Sessions made so far: the next token is one that nobody has.
    made: u64,
}

/// So many sessions has a person of the sample: desk, phone, and those that were forgotten.
const EACH: usize = 5;

impl House {
    /// A table with so many sessions.
    pub(crate) fn of(count: usize) -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let limits = SessionLimits {
            idle_timeout: Duration::from_secs(1800),
            lifetime: Duration::from_secs(43_200),
            max_per_user: 10,
        };
        let mut house = Self {
            sessions: Sessions::new(limits, Clock::manual(now).0),
            now,
            tokens: Vec::new(),
            made: 0,
        };
        for id in (1..).take(count / EACH) {
            let admitted = house.admit(UserId(id), Generation::from_stored(1), EACH);
            house.tokens.extend(admitted);
        }
        house.tokens.sort_unstable_by_key(|token| token.0);
        house
    }

    /// Signs somebody in so many times; the tokens.
    pub(crate) fn admit(
        &mut self,
        id: UserId,
        generation: Generation,
        times: usize,
    ) -> Vec<TokenHash> {
        let user = Arc::new(user(id, generation));
        (0..times)
            .map(|_| {
                let record = self.record(&user);
                self.sessions.admit(&record, user.clone()).unwrap();
                record.token
            })
            .collect()
    }

    /// A session that is in no table yet.
    pub(crate) fn record(&mut self, user: &User) -> SessionRecord {
        self.made += 1;
        SessionRecord {
            // As random as the hash of a random token, and the same in every run.
            token: TokenHash(sha256(&self.made.to_string())),
            id: SessionId::random(),
            user: user.id,
            generation: user.generation,
            created: self.now,
            last_seen: self.now,
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            device: "Chrome on Windows".to_owned(),
            second_factor: None,
            good_until: None,
        }
    }
}

/// A person with that id.
pub(crate) fn user(id: UserId, generation: Generation) -> User {
    User {
        id,
        name: UserName::parse(&format!("person-{}", id.0)).unwrap(),
        role: Role::Operator,
        email: None,
        disabled: false,
        generation,
    }
}
