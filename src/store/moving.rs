//! From the embedded store to a server, whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Database, Decode, Postgres, Row, Sqlite, SqlitePool, Type};

use super::engine::{Engine, Work};
use super::statement::{On, Value, sql};
use super::{DATABASE, Store, StoreError, failed, postgres};
use crate::config::{KeySource, Server};

/// What was moved.
#[derive(Debug)]
pub struct Moved {
    /// How many rows of each table.
    pub rows: Vec<(&'static str, u64)>,
    /// Where the embedded store is now.
    pub kept: PathBuf,
}

/// A table as it is copied.
struct Table {
    name: &'static str,
    columns: &'static [Kind],
    /// A part of its rows, in an order that both engines have.
    read: &'static str,
    write: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Integer,
    Text,
    Bytes,
    Flag,
}

use Kind::{Bytes, Flag, Integer, Text};

/// One value of a row.
#[derive(Debug, PartialEq)]
enum Cell {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Flag(Option<bool>),
}

/// How many rows are copied at once.
const AT_ONCE: i64 = 5000;

/// A table: its name, its columns, its order, and the lists that its rows are written from.
macro_rules! table {
    ($name:literal, $columns:literal, $order:literal, $lists:literal, $kinds:expr) => {
        Table {
            name: $name,
            columns: &$kinds,
            read: concat!(
                "SELECT ",
                $columns,
                " FROM ",
                $name,
                " ORDER BY ",
                $order,
                " LIMIT $1 OFFSET $2"
            ),
            write: concat!(
                "INSERT INTO ",
                $name,
                " (",
                $columns,
                ") OVERRIDING SYSTEM VALUE
                 SELECT * FROM unnest(",
                $lists,
                ")"
            ),
        }
    };
}

/// Every table, those that others refer to first.
const TABLES: &[Table] = &[
    table!(
        "users",
        "id, name, role, email, disabled, generation, password, created, guess_key",
        "id",
        "$1, $2, $3, $4, $5, $6, $7, $8, $9",
        [
            Integer, Text, Text, Text, Flag, Integer, Text, Integer, Text
        ]
    ),
    table!(
        "totp_factors",
        "user_id, secret, last_step, shown_early",
        "user_id",
        "$1, $2, $3, $4",
        [Integer, Bytes, Integer, Integer]
    ),
    table!(
        "recovery_codes",
        "user_id, hash",
        "user_id, hash",
        "$1, $2",
        [Integer, Bytes]
    ),
    table!(
        "setup_links",
        "hash, user_id, expires, generation",
        "hash",
        "$1, $2, $3, $4",
        [Bytes, Integer, Integer, Integer]
    ),
    table!(
        "sessions",
        "token, id, user_id, generation, created, last_seen, address, device, second_factor, good_until, replaced_by",
        "token",
        "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11",
        [
            Bytes, Text, Integer, Integer, Integer, Integer, Text, Text, Text, Integer, Bytes
        ]
    ),
    table!(
        "tokens",
        "name, hash, scopes, expires, created, networks, last_used, former_hash, former_ends, announced",
        "hash",
        "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10",
        [
            Text, Bytes, Text, Integer, Integer, Text, Integer, Bytes, Integer, Flag
        ]
    ),
    table!(
        "audit",
        "seq, at, actor, action, subject, detail, request",
        "seq",
        "$1, $2, $3, $4, $5, $6, $7",
        [Integer, Integer, Text, Text, Text, Text, Text]
    ),
    table!(
        "seal_check",
        "\"only\", value",
        "\"only\"",
        "$1, $2",
        [Integer, Bytes]
    ),
    table!(
        "past_passwords",
        "seq, user_id, password",
        "seq",
        "$1, $2, $3",
        [Integer, Integer, Text]
    ),
    table!(
        "ended_sessions",
        "seq, token, reason, at",
        "seq",
        "$1, $2, $3, $4",
        [Integer, Bytes, Text, Integer]
    ),
    table!(
        "unanswered",
        "act, at, subject, made",
        "act",
        "$1, $2, $3, $4",
        [Bytes, Integer, Text, Bytes]
    ),
    table!(
        "failures",
        "user_id, guess, failed, window_ends, in_a_row, locked",
        "user_id, guess",
        "$1, $2, $3, $4, $5, $6",
        [Integer, Text, Integer, Integer, Integer, Flag]
    ),
    table!(
        "guesses",
        "key, failed, window_ends, in_a_row, locked",
        // Letters and digits of one length behind one of two words: in one order everywhere.
        "key",
        "$1, $2, $3, $4, $5",
        [Text, Integer, Integer, Integer, Flag]
    ),
    table!(
        "sign_ins",
        "cookie, user_id, generation, secret, ends, tries, network",
        "cookie",
        "$1, $2, $3, $4, $5, $6, $7",
        [Bytes, Integer, Integer, Bytes, Integer, Integer, Text]
    ),
];

/// Moves the embedded store in `data_dir`, which the caller has locked, to a server that has nothing of
/// Portcullis yet but perhaps its tables. The store stays, under another name.
///
/// # Errors
/// [`StoreError`]; nothing is on the server then, and the store is where it was.
pub async fn move_to(
    server: &Server,
    key: &KeySource,
    data_dir: &Path,
) -> Result<Moved, StoreError> {
    let live = data_dir.join(DATABASE);
    if !live.exists() {
        return Err(StoreError::Copy {
            doing: "move",
            path: live,
            cause: "there is no embedded store here; it may have been moved before".to_owned(),
        });
    }
    // Opened as a gateway does: with the right key, and brought to this version.
    let store = Store::open_embedded(key, data_dir, crate::clock::Clock::system()).await?;
    let copied = copy(&store, server).await;
    store.close().await;
    let rows = copied?;
    let time = store.clock.wall().rfc3339().replace(':', "-");
    let kept = data_dir.join(format!("{DATABASE}.moved-{time}"));
    put_aside(&live, &kept).map_err(|cause| StoreError::Copy {
        doing: "put aside the embedded store, after it was moved:",
        path: live.clone(),
        cause: cause.to_string(),
    })?;
    Ok(Moved { rows, kept })
}

async fn copy(store: &Store, server: &Server) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let Engine::Sqlite { readers, .. } = &store.engine else {
        return Err(StoreError::NotEmbedded("it is moved from there"));
    };
    let target = Engine::Postgres(postgres::open(server).await?);
    let copied = copy_all(readers, &target, server).await;
    target.close().await;
    copied
}

async fn copy_all(
    source: &SqlitePool,
    target: &Engine,
    server: &Server,
) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let doing = "moving the store";
    let mut work = target.begin().await.map_err(failed(doing))?;
    for statement in [
        // Reading from the file may take longer than a gateway may pause.
        "SET LOCAL idle_in_transaction_session_timeout = 0",
        "DELETE FROM seal_check WHERE NOT EXISTS (SELECT id FROM users)",
    ] {
        sql(statement).run(&mut work).await.map_err(failed(doing))?;
    }
    let (used,): (bool,) = sql(
        "SELECT EXISTS (SELECT id FROM users) OR EXISTS (SELECT seq FROM audit)
             OR EXISTS (SELECT name FROM tokens)",
    )
    .one(&mut work)
    .await
    .map_err(failed(doing))?;
    if used {
        // The one before may have been killed when everything was there already.
        let same = compare_all(source, &mut work).await;
        work.undo().await;
        return same.map_err(|_| StoreError::Unfit {
            place: server.to_string(),
            why: "there are users or audit entries of a gateway in it already, and nothing is mixed with them; name an empty database".to_owned(),
        });
    }
    let mut moved = Vec::new();
    for table in TABLES {
        moved.push((table.name, copy_table(table, source, &mut work).await?));
    }
    for statement in [
        "SELECT setval(pg_get_serial_sequence('users', 'id'), (SELECT max(id) FROM users))",
        "UPDATE head SET audit = (SELECT coalesce(max(seq), 0) FROM audit)",
        "SELECT setval(pg_get_serial_sequence('past_passwords', 'seq'),
                       (SELECT max(seq) FROM past_passwords))",
        "SELECT setval(pg_get_serial_sequence('ended_sessions', 'seq'),
                       (SELECT max(seq) FROM ended_sessions))",
    ] {
        sql(statement).run(&mut work).await.map_err(failed(doing))?;
    }
    compare_all(source, &mut work).await?;
    work.commit().await.map_err(failed(doing))?;
    Ok(moved)
}

async fn copy_table(
    table: &Table,
    source: &SqlitePool,
    work: &mut Work,
) -> Result<u64, StoreError> {
    let mut copied = 0;
    loop {
        let rows = part_of_source(table, source, copied).await?;
        if rows.is_empty() {
            return Ok(u64::try_from(copied).unwrap_or(0));
        }
        copied += i64::try_from(rows.len()).unwrap_or(0);
        let mut lists: Vec<Value> = table.columns.iter().map(|kind| kind.list()).collect();
        for cell in rows.into_iter().flat_map(|row| row.into_iter().enumerate()) {
            let (place, cell) = cell;
            if let Some(list) = lists.get_mut(place) {
                cell.add_to(list);
            }
        }
        let statement = lists
            .into_iter()
            .fold(sql(table.write), |all, list| all.bind(list));
        statement
            .run(&mut *work)
            .await
            .map_err(failed("moving the store"))?;
    }
}

/// How many rows of each table there are, which are exactly those of the file.
async fn compare_all(
    source: &SqlitePool,
    work: &mut Work,
) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut same = Vec::new();
    for table in TABLES {
        same.push((table.name, compare(table, source, work).await?));
    }
    Ok(same)
}

async fn compare(table: &Table, source: &SqlitePool, work: &mut Work) -> Result<u64, StoreError> {
    let mut compared = 0;
    loop {
        let here = part_of_source(table, source, compared).await?;
        let there = part_of_target(table, work, compared).await?;
        if here != there {
            return Err(StoreError::Unreadable(format!(
                "the table {} is not on the server as it is in the file",
                table.name
            )));
        }
        if here.is_empty() {
            return Ok(u64::try_from(compared).unwrap_or(0));
        }
        compared += i64::try_from(here.len()).unwrap_or(0);
    }
}

async fn part_of_source(
    table: &Table,
    source: &SqlitePool,
    after: i64,
) -> Result<Vec<Vec<Cell>>, StoreError> {
    let statement = sqlx::query::<Sqlite>(table.read).bind(AT_ONCE).bind(after);
    let rows: Result<Vec<SqliteRow>, _> = statement.fetch_all(source).await;
    let rows = rows.map_err(failed("reading the embedded store"))?;
    rows.iter().map(|row| table.cells(row)).collect()
}

async fn part_of_target(
    table: &Table,
    work: &mut Work,
    after: i64,
) -> Result<Vec<Vec<Cell>>, StoreError> {
    let On::Postgres(connection) = work.into() else {
        return Err(StoreError::NotEmbedded("it is moved from there"));
    };
    let statement = sqlx::query::<Postgres>(table.read)
        .bind(AT_ONCE)
        .bind(after);
    let rows: Result<Vec<PgRow>, _> = statement.fetch_all(connection).await;
    let rows = rows.map_err(failed("comparing what was moved"))?;
    rows.iter().map(|row| table.cells(row)).collect()
}

impl Table {
    fn cells<R>(&self, row: &R) -> Result<Vec<Cell>, StoreError>
    where
        R: Row,
        usize: ColumnIndex<R>,
        for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
        for<'r> String: Decode<'r, R::Database> + Type<R::Database>,
        for<'r> Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
        for<'r> bool: Decode<'r, R::Database> + Type<R::Database>,
        R::Database: Database,
    {
        let cells = self.columns.iter().enumerate().map(|(place, kind)| {
            Ok(match kind {
                Integer => Cell::Integer(row.try_get(place)?),
                Text => Cell::Text(row.try_get(place)?),
                Bytes => Cell::Bytes(row.try_get(place)?),
                Flag => Cell::Flag(row.try_get(place)?),
            })
        });
        let cells: Result<_, sqlx::Error> = cells.collect();
        cells.map_err(failed("reading a row"))
    }
}

impl Kind {
    fn list(self) -> Value {
        match self {
            Integer => Value::Integers(Vec::new()),
            Text => Value::Texts(Vec::new()),
            Bytes => Value::BytesEach(Vec::new()),
            Flag => Value::Flags(Vec::new()),
        }
    }
}

impl Cell {
    fn add_to(self, list: &mut Value) {
        match (self, list) {
            (Self::Integer(value), Value::Integers(list)) => list.push(value),
            (Self::Text(value), Value::Texts(list)) => list.push(value),
            (Self::Bytes(value), Value::BytesEach(list)) => list.push(value),
            (Self::Flag(value), Value::Flags(list)) => list.push(value),
            // Both are made from the same kinds.
            _ => {}
        }
    }
}

/// Under another name, with the journal that belongs to it.
fn put_aside(live: &Path, kept: &Path) -> io::Result<()> {
    for ending in ["-wal", "-shm"] {
        let name = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        match fs::rename(name(live), name(kept)) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
    }
    fs::rename(live, kept)
}
