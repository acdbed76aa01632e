//! Copies of the database: one made while the gateway runs, and one put in its place.
//!
//! A backup has everything but the master key. Putting one back turns time back, so nothing that was
//! ended since may live again: every session and every set-up link of the backup is dead.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::change::BeginAgain;
use super::seal::Seal;
use super::{Store, StoreError, failed, sqlite};
use crate::clock::Clock;
use crate::config::KeySource;
use crate::model::{Action, Actor, Event};
use crate::secret_file::Own;
use crate::telemetry::Metrics;

/// Writes a consistent copy of the database in `data_dir` to `file`, for its owner alone; how many
/// bytes it has. A gateway may run meanwhile.
///
/// # Errors
/// [`StoreError::Copy`], also when there is something at `file`, which stays as it is.
pub async fn back_up(data_dir: &Path, file: &Path) -> Result<u64, StoreError> {
    let doing = "write the backup";
    if file.symlink_metadata().is_ok() {
        return Err(copy(
            doing,
            file,
            "there is something of this name already, which is never replaced",
        ));
    }
    let draft = beside(file, &format!(".{}.draft", std::process::id()));
    let path = draft
        .to_str()
        .ok_or_else(|| copy(doing, file, "the name has to be UTF-8"))?;
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|cause| copy(doing, file, cause))?;
    drop(new);
    let written = match vacuum(&data_dir.join("portcullis.db"), path).await {
        Ok(()) => keep(&draft, file).map_err(|cause| copy(doing, file, cause)),
        Err(fault) => Err(fault),
    };
    // Whether it became the backup or nothing.
    let _ = fs::remove_file(&draft);
    written
}

/// Puts a backup in the place of the database in `data_dir`, which the caller has locked; where the
/// database that was there is kept.
///
/// # Errors
/// [`StoreError::Copy`] for what is no sound backup, [`StoreError::Key`] for one that was made under
/// another master key, [`StoreError::Migrate`] for one of a newer version. Nothing is changed then.
pub async fn restore(
    data_dir: &Path,
    key: &KeySource,
    backup: &Path,
    clock: Clock,
) -> Result<Option<PathBuf>, StoreError> {
    let doing = "restore";
    let failing = |cause: io::Error| copy(doing, backup, cause);
    let live = data_dir.join("portcullis.db");
    let draft = data_dir.join("portcullis.db.draft");
    if fs::metadata(beside(backup, "-wal")).is_ok_and(|wal| wal.len() > 0) {
        return Err(copy(
            doing,
            backup,
            "it is a database in use, not a backup; make one with portcullis backup FILE",
        ));
    }
    forget(&draft).map_err(failing)?;
    let taken = take(backup, data_dir, &draft).map_err(failing);
    let restored = match taken {
        Ok(()) => made_ready(data_dir, key, backup, &draft, clock.clone()).await,
        Err(fault) => Err(fault),
    };
    let kept = restored.and_then(|()| exchange(&draft, &live, &clock).map_err(failing));
    if kept.is_err() {
        let _ = forget(&draft);
    }
    kept
}

async fn vacuum(database: &Path, into: &str) -> Result<(), StoreError> {
    let mut connection = connect(database).await.map_err(|cause| StoreError::Open {
        path: database.to_owned(),
        cause,
    })?;
    sqlx::query("VACUUM INTO $1")
        .bind(into)
        .execute(&mut connection)
        .await
        .map_err(failed("writing the backup"))?;
    connection
        .close()
        .await
        .map_err(failed("closing the database"))
}

/// A connection to a database that has to be there.
async fn connect(database: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .busy_timeout(Duration::from_secs(5))
        .pragma("trusted_schema", "OFF");
    SqliteConnection::connect_with(&options).await
}

/// On disk under its name, which nothing else had.
fn keep(draft: &Path, file: &Path) -> io::Result<u64> {
    let written = File::open(draft)?;
    written.sync_all()?;
    fs::hard_link(draft, file)?;
    sync_folder(file)?;
    Ok(written.metadata()?.len())
}

/// The backup as a draft beside the database, with the owner of the folder. Only this is looked at and
/// changed: the backup stays as it is, and nobody can change it between the look and the use.
fn take(backup: &Path, data_dir: &Path, draft: &Path) -> io::Result<()> {
    let mut source = File::open(backup)?;
    if !source.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)?;
    io::copy(&mut source, &mut target)?;
    let (folder, mine) = (fs::metadata(data_dir)?, target.metadata()?);
    if (folder.uid(), folder.gid()) != (mine.uid(), mine.gid()) {
        chown(draft, Some(folder.uid()), Some(folder.gid()))?;
    }
    target.sync_all()
}

/// Checks the draft whole, brings it to this version, and ends what lived in it.
async fn made_ready(
    data_dir: &Path,
    key: &KeySource,
    backup: &Path,
    draft: &Path,
    clock: Clock,
) -> Result<(), StoreError> {
    sound(draft)
        .await
        .map_err(|fault| copy("restore", backup, fault))?;
    let seal = Seal::load(key, data_dir, false, Own::Mend)?.0;
    let engine = sqlite::open(draft).await?;
    let store = Store {
        engine,
        server: None,
        seal,
        clock,
        metrics: Metrics::default(),
        terms: None,
        answered: super::unanswered::Answered::default(),
        probe: super::probe::Probe::default(),
    };
    let ready = async {
        if !sqlite::is_as_it_should_be(&store.engine).await? {
            return Err(copy(
                "restore",
                backup,
                "its tables are not those of Portcullis",
            ));
        }
        store.check_seal().await?;
        let operator = Actor::Operator {
            uid: rustix::process::getuid().as_raw(),
        };
        let event = Event::general(operator, Action::StoreRestored)
            .detail(format!("from {}", backup.display()));
        store.commit(BeginAgain, event).await.map(drop)
    };
    let ready = ready.await;
    store.close().await;
    ready
}

/// What is wrong about the file, if anything is.
async fn sound(draft: &Path) -> Result<(), String> {
    let told = |fault: sqlx::Error| format!("it is no sound database: {fault}");
    let mut connection = connect(draft).await.map_err(told)?;
    let (verdict,): (String,) = sqlx::query_as("PRAGMA integrity_check(1)")
        .fetch_one(&mut connection)
        .await
        .map_err(told)?;
    if verdict != "ok" {
        return Err(format!("it is damaged: {verdict}"));
    }
    let (tables,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table'
         AND name IN ('users', 'sessions', 'seal_check', '_sqlx_migrations')",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(told)?;
    if tables != 4 {
        return Err("it is no database of Portcullis".to_owned());
    }
    let sealed: Option<(i64,)> = sqlx::query_as("SELECT only FROM seal_check")
        .fetch_optional(&mut connection)
        .await
        .map_err(told)?;
    if sealed.is_none() {
        return Err("nothing in it says which master key it belongs to".to_owned());
    }
    let orphan = sqlx::query("PRAGMA foreign_key_check")
        .fetch_optional(&mut connection)
        .await
        .map_err(told)?;
    if orphan.is_some() {
        return Err("it is damaged: it has rows that belong to nobody".to_owned());
    }
    connection.close().await.map_err(told)
}

/// The draft in the place of the database. What was there gets another name first, with the changes
/// that are still in its journal, so that it can be put back.
fn exchange(draft: &Path, live: &Path, clock: &Clock) -> io::Result<Option<PathBuf>> {
    if fs::metadata(beside(draft, "-wal")).is_ok_and(|wal| wal.len() > 0) {
        return Err(io::Error::other("its changes could not be written back"));
    }
    File::open(draft)?.sync_all()?;
    let kept = live.exists().then(|| {
        let time = clock.wall().rfc3339().replace(':', "-");
        beside(live, &format!(".before-{time}"))
    });
    if let Some(kept) = &kept {
        fs::hard_link(live, kept)?;
        let journal = beside(live, "-wal");
        if journal.exists() {
            fs::hard_link(&journal, beside(kept, "-wal"))?;
        }
        sync_folder(live)?;
    }
    // The journal of the old database must never be read into the new one.
    for ending in ["-wal", "-shm"] {
        gone(&beside(live, ending))?;
    }
    sync_folder(live)?;
    fs::rename(draft, live)?;
    sync_folder(live)?;
    Ok(kept)
}

/// A draft that an earlier try left behind.
fn forget(draft: &Path) -> io::Result<()> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        gone(&beside(draft, ending))?;
    }
    Ok(())
}

fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn copy(doing: &'static str, path: &Path, cause: impl ToString) -> StoreError {
    StoreError::Copy {
        doing,
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}
