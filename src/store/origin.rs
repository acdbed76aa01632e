//! Which store this is: the server, the tables, and the history that the server goes on in. A store that
//! lost what it had acknowledged looks like itself in everything else.

use std::fmt;
use std::str::FromStr;

use super::feed::{FeedNumber, Line, Tag};
use super::statement::sql;
use super::{StoreError, failed};

/// The store that a connection leads to, as SQL of PostgreSQL: the identifier that `initdb` drew, the numbers
/// of the database and of a table, which are others after a dump was read back; and after a blank the
/// timeline, which is another after a promotion and after a recovery to a point in time. A subquery, so that
/// it is computed once for a statement. A macro, since a statement has to be one literal.
macro_rules! here {
    () => {
        "(SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
                (SELECT oid FROM pg_database WHERE datname = current_database()),
                to_regclass('users')::oid)
            || ' ' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))"
    };
}
pub(super) use here;

/// What tells two stores apart that both look like this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// Where a feed was begun, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// `None` before the first gateway has worked with it.
    pub begun: Option<Origin>,
    pub here: Origin,
}

/// Up to where a feed was followed, and which feed that was. As text it is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub origin: Origin,
    pub number: FeedNumber,
    /// Of the entry of this number.
    pub tag: Option<Tag>,
}

impl Origin {
    /// Whether these are the very tables that the other one names, though perhaps in another history.
    pub fn is_the_place_of(&self, other: &Self) -> bool {
        self.place() == other.place()
    }

    fn place(&self) -> Option<&str> {
        self.0.split(' ').next()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Home {
    pub(super) fn read(begun: String, here: String) -> Self {
        Self {
            begun: (!begun.is_empty()).then_some(Origin(begun)),
            here: Origin(here),
        }
    }

    /// Whether the feed was begun in this very store, and this feed has an entry of all that is in it.
    pub fn is_its_own(&self) -> bool {
        self.begun.as_ref() == Some(&self.here)
    }
}

impl Line {
    /// Where the feed was begun and where it is, its last number, and the tag of one of its entries,
    /// which may be forgotten.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; so while the server is a standby.
    pub async fn home(
        &mut self,
        number: FeedNumber,
    ) -> Result<(Home, FeedNumber, Option<Tag>), StoreError> {
        let (begun, here, head, tag): (String, String, i64, Option<i64>) = sql(concat!(
            "SELECT head.origin, ",
            here!(),
            ", head.seq, tag FROM head LEFT JOIN feed ON feed.seq = $1"
        ))
        .bind(number.0)
        .one(&mut self.connection)
        .await
        .map_err(failed("asking which store this is"))?;
        Ok((Home::read(begun, here), FeedNumber(head), tag.map(Tag)))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin: Origin(origin),
            number,
            tag,
        } = self;
        match tag {
            Some(Tag(tag)) => write!(f, "{origin} {number} {tag}"),
            None => write!(f, "{origin} {number} -"),
        }
    }
}

impl FromStr for Mark {
    /// It is none.
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let [place, history, number, tag] = text.split(' ').collect::<Vec<_>>()[..] else {
            return Err(());
        };
        let tag = match tag {
            "-" => None,
            tag => Some(Tag(tag.parse().map_err(drop)?)),
        };
        Ok(Self {
            origin: Origin(format!("{place} {history}")),
            number: FeedNumber(number.parse().map_err(drop)?),
            tag,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(begun: &str, here: &str) -> Home {
        Home::read(begun.to_owned(), here.to_owned())
    }

    #[test]
    fn a_feed_is_at_home_in_the_history_that_it_was_begun_in_and_in_no_other() {
        let here = "7312/16384/16402 00000001";
        assert!(home(here, here).is_its_own());
        for begun in [
            "",
            "7312/16384/16402 00000002",
            "7313/16384/16402 00000001",
            "7312/16384/16999 00000001",
            "7312/16384/16402",
        ] {
            assert!(!home(begun, here).is_its_own(), "{begun}");
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is_one() {
        for text in [
            "7312/16384/16402 00000001 17 -99",
            "7312/16384/16402 0000000A 0 -",
        ] {
            assert_eq!(text.parse::<Mark>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "7312/16384/16402",
            "7312/16384/16402 00000001 17",
            "7312/16384/16402 00000001 x -99",
            "7312/16384/16402 00000001 17 x",
            "7312/16384/16402 00000001 17 -99 5",
        ] {
            assert!(text.parse::<Mark>().is_err(), "{text}");
        }
    }
}
