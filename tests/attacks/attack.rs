//! What an attack is: one request as data, and exactly what must become of it.

use crate::arena::{Arena, Turn, Who};
use crate::ask::ask;
use crate::support::http1::Answer;

/// One request that somebody sends who should not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attack {
    /// The id of its class in the table of the README, and a number.
    pub(crate) id: &'static str,
    pub(crate) who: Who,
    pub(crate) method: &'static str,
    /// As it stands in the request line.
    pub(crate) target: &'static [u8],
    /// `None`: the host of the gateway.
    pub(crate) host: Option<&'static str>,
    /// Whole lines without their end. `{cookie}` stands for the token of `who`.
    pub(crate) fields: &'static [&'static [u8]],
    pub(crate) body: &'static [u8],
    pub(crate) over: Over,
    pub(crate) expect: Expect,
}

/// Over which protocols an attack is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Both,
    /// What HTTP/2 cannot say, or says in another way.
    Http1,
    Http2,
}

/// What must become of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    /// This status, and the panel sees nothing.
    Status(u16),
    /// This status, the connection is closed, and the panel sees nothing.
    Closed(u16),
    /// A program is told 401 and a navigation is led to the login page; the panel sees nothing.
    SignIn,
    /// The panel answers, and has seen this.
    Forwarded(Seen),
}

/// What the panel must have seen of the one request that reached it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// The request line.
    pub(crate) line: &'static str,
    /// Whole header lines, `name: value` with the name in lower case, which must be there once.
    pub(crate) has: &'static [&'static str],
    /// Texts that must be nowhere in the head, whatever their letter case.
    pub(crate) lacks: &'static [&'static str],
}

/// A GET.
pub(crate) const fn get(id: &'static str, target: &'static str) -> Attack {
    request(id, "GET", target)
}

/// A POST.
pub(crate) const fn post(id: &'static str, target: &'static str) -> Attack {
    request(id, "POST", target)
}

/// Any request by nobody, which is answered with a demand to sign in.
pub(crate) const fn request(
    id: &'static str,
    method: &'static str,
    target: &'static str,
) -> Attack {
    Attack {
        id,
        who: Who::Nobody,
        method,
        target: target.as_bytes(),
        host: None,
        fields: &[],
        body: b"",
        over: Over::Both,
        expect: Expect::SignIn,
    }
}

impl Attack {
    pub(crate) const fn by(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// A target that is no text.
    pub(crate) const fn bytes(mut self, target: &'static [u8]) -> Self {
        self.target = target;
        self
    }

    pub(crate) const fn host(mut self, host: &'static str) -> Self {
        self.host = Some(host);
        self
    }

    pub(crate) const fn with(mut self, fields: &'static [&'static [u8]]) -> Self {
        self.fields = fields;
        self
    }

    pub(crate) const fn body(mut self, body: &'static [u8]) -> Self {
        self.body = body;
        self
    }

    pub(crate) const fn over(mut self, over: Over) -> Self {
        self.over = over;
        self
    }

    pub(crate) const fn is(mut self, status: u16) -> Self {
        self.expect = Expect::Status(status);
        self
    }

    pub(crate) const fn closes(mut self, status: u16) -> Self {
        self.expect = Expect::Closed(status);
        self
    }

    /// Must reach the panel with this request line.
    pub(crate) const fn reaches(mut self, line: &'static str) -> Self {
        self.expect = Expect::Forwarded(Seen {
            line,
            has: &[],
            lacks: &[],
        });
        self
    }

    /// Must reach the panel like this.
    pub(crate) const fn seen(mut self, seen: Seen) -> Self {
        self.expect = Expect::Forwarded(seen);
        self
    }

    fn is_over(&self, over: Over) -> bool {
        self.over == Over::Both || self.over == over
    }
}

/// Tries every attack of a table, and fails with all that went wrong.
pub(crate) async fn run(attacks: &[Attack]) {
    let arena = Turn::next().await;
    let mut faults = Vec::new();
    let mut tried = 0;
    for attack in attacks {
        for over in [Over::Http1, Over::Http2] {
            if !attack.is_over(over) {
                continue;
            }
            tried += 1;
            if let Err(fault) = attempt(&arena, attack, over).await {
                faults.push(format!("{} over {over:?}: {fault}", attack.id));
            }
        }
    }
    assert!(tried >= attacks.len(), "some attack is tried nowhere");
    assert!(
        faults.is_empty(),
        "{} of {tried} attacks:
{}",
        faults.len(),
        faults.join(
            "
"
        )
    );
}

async fn attempt(arena: &Arena, attack: &Attack, over: Over) -> Result<(), String> {
    arena.panel.forget();
    let result = match attack.expect {
        Expect::SignIn => wants_sign_in(arena, attack, over).await,
        Expect::Status(status) | Expect::Closed(status) => {
            let answer = ask(arena, attack, over, &[]).await?;
            has_status(&answer, status)
        }
        Expect::Forwarded(seen) => {
            let answer = ask(arena, attack, over, &[]).await?;
            has_status(&answer, 200)?;
            return was_seen(arena, &seen);
        }
    };
    result?;
    match arena.heads().as_slice() {
        [] => Ok(()),
        heads => Err(format!("the panel saw {heads:?}")),
    }
}

/// The two answers to somebody who has no session.
async fn wants_sign_in(arena: &Arena, attack: &Attack, over: Over) -> Result<(), String> {
    let answer = ask(arena, attack, over, &[]).await?;
    has_status(&answer, 401)?;
    if answer.header("content-type") != Some("application/problem+json") {
        return Err("401 without a problem document".to_owned());
    }
    if !["GET", "HEAD", "POST"].contains(&attack.method) {
        return Ok(());
    }
    let answer = ask(arena, attack, over, &[b"Accept: text/html"]).await?;
    has_status(&answer, 303)?;
    match answer.header("location") {
        Some(location) if location.starts_with("/.portcullis/login?next=%2F") => Ok(()),
        other => Err(format!("led to {other:?}")),
    }
}

fn has_status(answer: &Answer, status: u16) -> Result<(), String> {
    if answer.status == status {
        return Ok(());
    }
    Err(format!(
        "answered {} in place of {status}: {}",
        answer.status,
        answer.text()
    ))
}

/// Holds the one head that the panel saw against what it should be.
fn was_seen(arena: &Arena, seen: &Seen) -> Result<(), String> {
    let heads = arena.heads();
    let [head] = heads.as_slice() else {
        return Err(format!("the panel saw {heads:?}"));
    };
    let mut lines = head.split("\r\n");
    if lines.next() != Some(seen.line) {
        return Err(format!("the panel saw {head:?}"));
    }
    let lines: Vec<String> = lines.map(lower_name).collect();
    for wanted in seen.has {
        let count = lines.iter().filter(|line| line == wanted).count();
        let name = wanted.split(':').next().unwrap_or_default();
        let named = lines
            .iter()
            .filter(|line| line.split(':').next() == Some(name));
        if count != 1 || named.count() != 1 {
            return Err(format!(
                "the panel should have seen {wanted:?} once: {head:?}"
            ));
        }
    }
    let whole = arena
        .panel
        .seen()
        .into_iter()
        .map(|seen| seen.head + &lossy(&seen.body));
    let everything = whole.collect::<String>().to_ascii_lowercase();
    for unwanted in seen.lacks {
        if everything.contains(&unwanted.to_ascii_lowercase()) {
            return Err(format!(
                "the panel should not have seen {unwanted:?}: {everything:?}"
            ));
        }
    }
    Ok(())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lower_name(line: &str) -> String {
    match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    }
}
