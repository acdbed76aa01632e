//! What several nodes tell each other through the store: what was ended, in the order in which it was
//! committed. The protocol is in `cluster`.

use std::fmt;

use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection};

use super::change::Desk;
use super::origin::{Home, here};
use super::statement::{in_time, sql};
use super::{Store, StoreError, failed, postgres};
use crate::clock::Timestamp;
use crate::model::{Generation, TokenHash, UserId};
use crate::secret::random_bytes;

/// The place of an entry in the feed: without gaps, in the order of the commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedNumber(pub(super) i64);

/// What was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Every session of the user that is of an older generation.
    User(UserId, Generation),
    Session(TokenHash),
    /// A session that another has replaced: it ends then.
    Replaced(TokenHash, Timestamp),
    Everybody,
    /// Everybody, and whatever is known of sessions that the store itself does not know of: it is another
    /// one than it was.
    BegunAnew,
}

/// What tells an entry from another of the same number, which there may be in a store that has forgotten
/// something and gone on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub(super) i64);

/// The feed's entry from which other nodes learn of a change, as the store wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub number: FeedNumber,
    /// `None` where the feed has no entry yet.
    pub(super) tag: Option<Tag>,
}

/// One thing that was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: FeedNumber,
    pub tag: Tag,
    pub subject: Subject,
}

/// The feed as it stands: the store that it was read from, its last number, and the entries that were asked
/// for.
#[derive(Debug)]
pub struct Feed {
    pub home: Home,
    pub head: FeedNumber,
    pub entries: Vec<Entry>,
}

/// A connection of its own for whoever follows the feed: what is said on it is answered in order.
#[derive(Debug)]
pub struct Line {
    pub(super) connection: PgConnection,
    pub(super) store: Store,
}

/// Hears that there is something new. What was said while the connection was away is lost, so nobody
/// relies on it.
#[derive(Debug)]
pub struct Ear(PgListener);

/// How many entries are read at once.
const AT_ONCE: i64 = 1000;

const CHANNEL: &str = "portcullis_feed";

impl FeedNumber {
    /// Before the first entry.
    pub const NONE: Self = Self(0);

    /// As it is shown and measured.
    pub fn number(self) -> i64 {
        self.0
    }

    /// Whether `next` comes right after this one.
    pub fn is_followed_by(self, next: Self) -> bool {
        self.0.checked_add(1) == Some(next.0)
    }
}

impl fmt::Display for FeedNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Store {
    /// A connection for whoever follows the feed; `None` where there is only this gateway.
    ///
    /// # Errors
    /// [`StoreError::Connect`]
    pub async fn line(&self) -> Result<Option<Line>, StoreError> {
        let Some(server) = &self.server else {
            return Ok(None);
        };
        let connection = postgres::connect(server).await;
        let connection = connection.map_err(failed("connecting to the store"))?;
        Ok(Some(Line {
            connection,
            store: self.clone(),
        }))
    }

    /// The last entry of the feed; `None` where there is only this gateway.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn last_told(&self) -> Result<Option<Told>, StoreError> {
        if !self.is_shared() {
            return Ok(None);
        }
        let (number, tag): (i64, Option<i64>) =
            sql("SELECT head.seq, tag FROM head LEFT JOIN feed ON feed.seq = head.seq")
                .one(&self.engine)
                .await
                .map_err(failed("reading what was ended"))?;
        Ok(Some(Told {
            number: FeedNumber(number),
            tag: tag.map(Tag),
        }))
    }

    /// Listens for new entries; `None` where there is only this gateway.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn listen(&self) -> Result<Option<Ear>, StoreError> {
        let Some(pool) = self.pool() else {
            return Ok(None);
        };
        let listening = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        let listener = in_time(listening).await;
        Ok(Some(Ear(
            listener.map_err(failed("listening for revocations"))?
        )))
    }
}

impl Ear {
    /// Waits for a hint that there is something new.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when nothing can be heard any more; then listen anew.
    pub async fn hint(&mut self) -> Result<(), StoreError> {
        let heard = self.0.try_recv().await;
        heard.map(drop).map_err(failed("listening for revocations"))
    }
}

impl Line {
    /// The entry `applied` and those after it, the oldest first; not all of them, where there are many.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; so for everything here. The line is of no more use then.
    pub async fn feed(&mut self, applied: FeedNumber) -> Result<Feed, StoreError> {
        type Row = (
            String,
            String,
            i64,
            Option<i64>,
            Option<i64>,
            Option<i64>,
            Option<i64>,
            Option<Vec<u8>>,
            Option<i64>,
        );
        let doing = "reading what was ended";
        // One statement, so that the last number is the last of these, and of this store.
        let rows: Vec<Row> = sql(concat!(
            "SELECT head.origin, ",
            here!(),
            ", head.seq, feed.seq, feed.tag, feed.user_id, feed.generation, feed.token,
                    feed.good_until
             FROM head LEFT JOIN feed ON feed.seq >= $1 ORDER BY feed.seq LIMIT $2"
        ))
        .bind(applied.0)
        .bind(AT_ONCE)
        .all(&mut self.connection)
        .await
        .map_err(failed(doing))?;
        let (begun, here, head, ..) = rows
            .first()
            .ok_or_else(|| failed(doing)(sqlx::Error::RowNotFound))?;
        let (home, head) = (Home::read(begun.clone(), here.clone()), FeedNumber(*head));
        let entries =
            rows.into_iter()
                .filter_map(|(_, _, _, seq, tag, user, generation, token, until)| {
                    Some(Entry {
                        number: FeedNumber(seq?),
                        tag: Tag(tag?),
                        subject: subject(user, generation, token, until),
                    })
                });
        Ok(Feed {
            home,
            head,
            entries: entries.collect(),
        })
    }

    /// The generation of everybody.
    pub async fn generations(&mut self) -> Result<Vec<(UserId, Generation)>, StoreError> {
        let rows: Vec<(i64, i64)> = sql("SELECT id, generation FROM users")
            .all(&mut self.connection)
            .await
            .map_err(failed("reading generations"))?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(user, generation)| (UserId(user), Generation::from_stored(generation)))
            .collect())
    }

    /// Closes the connection in good order.
    pub async fn close(self) {
        let _ = in_time(self.connection.close()).await;
    }
}

/// The subjects of an entry. Where they are unknown, all of them.
fn subject(
    user: Option<i64>,
    generation: Option<i64>,
    token: Option<Vec<u8>>,
    until: Option<i64>,
) -> Subject {
    let token = token.map(|token| token.try_into().map(TokenHash));
    match (user, generation, token) {
        (Some(user), Some(generation), _) => {
            Subject::User(UserId(user), Generation::from_stored(generation))
        }
        (_, _, Some(Ok(token))) => match until {
            Some(until) => Subject::Replaced(token, Timestamp::from_millis(until)),
            None => Subject::Session(token),
        },
        (None, Some(_), None) => Subject::BegunAnew,
        _ => Subject::Everybody,
    }
}

impl Desk<'_> {
    /// Tells every node of what this transaction ends.
    pub(super) async fn tell(&mut self, subject: &Subject) -> Result<(), StoreError> {
        if !self.is_shared() {
            return Ok(());
        }
        let mut until = None;
        let (user, generation, token) = match subject {
            Subject::User(user, generation) => (Some(user.0), Some(generation.number()), None),
            Subject::Session(token) => (None, None, Some(token.0.to_vec())),
            Subject::Replaced(token, ends) => {
                until = Some(ends.millis());
                (None, None, Some(token.0.to_vec()))
            }
            Subject::Everybody => (None, None, None),
            // A gateway of the version before reads it as everybody.
            Subject::BegunAnew => (None, Some(0), None),
        };
        let tag = i64::from_ne_bytes(random_bytes());
        let (seq,): (i64,) = sql("WITH next AS (UPDATE head SET seq = seq + 1 RETURNING seq)
             INSERT INTO feed (seq, at, user_id, generation, token, tag, good_until)
             SELECT seq, $1, $2, $3, $4, $5, $6 FROM next RETURNING seq")
        .bind(self.now.millis())
        .bind(user)
        .bind(generation)
        .bind(token)
        .bind(tag)
        .bind(until)
        .one(self.connection())
        .await
        .map_err(failed("telling the other nodes"))?;
        self.told = Some(Told {
            number: FeedNumber(seq),
            tag: Some(Tag(tag)),
        });
        Ok(())
    }

    /// The hint that there is something new, which goes out with the commit.
    pub(super) async fn send(&mut self) -> Result<Option<Told>, StoreError> {
        if self.told.is_some() {
            sql("SELECT pg_notify($1, '')")
                .bind(CHANNEL)
                .run(self.connection())
                .await
                .map_err(failed("telling the other nodes"))?;
        }
        Ok(self.told)
    }
}
