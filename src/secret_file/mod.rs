//! Files that hold secrets: the one rule for the master key, TLS keys, the database and every
//! `"file:PATH"` of the configuration.
//!
//! A file is used when nobody but the gateway's user and root can read or change it. Three ways in
//! which an orchestrator hands a secret over satisfy that although the mode alone does not say so:
//!
//! | who hands it over | what it looks like | why it is used |
//! | --- | --- | --- |
//! | Docker, Podman | root's, 0444, on a mount that is read-only | the mount is the container's alone |
//! | Kubernetes with `fsGroup` | root's, 0440, of a group of the process | the group is the process's own |
//! | systemd (`LoadCredential=`) | root's, 0440, with an access list | the list names the gateway's user alone |
//!
//! A file of the gateway's own that others can read is mended (`chmod 600`), with a warning. Everything
//! is judged and read through one descriptor, so that no other file can take the place between.

mod acl;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fchmod, fstatvfs};
use rustix::process::{getegid, geteuid, getgroups};

use self::acl::AccessList;
use crate::secret::Secret;

/// What to do about a file of the gateway's own that others can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Take it away from them, and write a warning to the log.
    Mend,
    /// Change nothing, and say what would be done.
    Report,
}

/// What was read.
#[derive(Debug)]
pub struct SecretFile {
    /// The content, at most [`LARGEST`].
    pub content: Secret<Vec<u8>>,
    /// A sentence for people about what is not as it should be and does not keep the file from use.
    pub remark: Option<String>,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("can't read {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("{} is larger than a secret can be ({LARGEST} bytes); see that the path is right", .0.display())]
    TooLarge(PathBuf),
    #[error("{} is no regular file; name a file that holds the secret", .0.display())]
    NoFile(PathBuf),
    #[error("{} {why}; take that away with: {remedy}", path.display())]
    Exposed {
        path: PathBuf,
        why: String,
        remedy: String,
    },
}

/// The largest file that is read, in bytes.
pub const LARGEST: u64 = 1 << 20;

/// What tells who can read or change a file.
#[derive(Debug)]
struct Seen {
    owner: u32,
    group: u32,
    /// The permission bits.
    mode: u32,
    /// The access list beside them, where there is one.
    list: Option<AccessList>,
    /// The list can't be read, so that what the group bits say is not known.
    is_list_unknown: bool,
    is_on_read_only_mount: bool,
}

/// The user and the groups of this process.
#[derive(Debug)]
struct Me {
    user: u32,
    groups: Vec<u32>,
}

/// What follows from who can read or change a file.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// It is the process's own, and others can get at it in this way.
    Own(String),
    Exposed(String),
}

/// Reads a file with a secret, if nobody else can.
///
/// # Errors
/// [`SecretFileError`]: it can't be read, or others can read or change it.
pub fn read(path: &Path, own: Own) -> Result<SecretFile, SecretFileError> {
    let mut file = open(path)?;
    let remark = check(path, &file, own)?;
    let failed = |cause| failed(path, cause);
    let mut content = Vec::new();
    let mut bounded = (&mut file).take(LARGEST + 1);
    bounded.read_to_end(&mut content).map_err(failed)?;
    let content = Secret::new(content);
    if content.expose().len() as u64 > LARGEST {
        return Err(SecretFileError::TooLarge(path.to_owned()));
    }
    Ok(SecretFile { content, remark })
}

/// The same for a text.
///
/// # Errors
/// As [`read`], and when it is no UTF-8.
pub fn read_text(
    path: &Path,
    own: Own,
) -> Result<(Secret<String>, Option<String>), SecretFileError> {
    let file = read(path, own)?;
    let text = String::from_utf8(file.content.expose().clone());
    let text = text.map(Secret::new).map_err(|fault| {
        let place = fault.utf8_error().valid_up_to() + 1;
        // The bytes are part of the secret.
        drop(Secret::new(fault.into_bytes()));
        let cause = format!("byte {place} is not UTF-8");
        failed(path, io::Error::new(io::ErrorKind::InvalidData, cause))
    });
    Ok((text?, file.remark))
}

/// Whether a file may be used that is read by others, like a database; what is missing may.
///
/// # Errors
/// [`SecretFileError::Exposed`], [`SecretFileError::Read`]
pub fn examine(path: &Path, own: Own) -> Result<Option<String>, SecretFileError> {
    match open(path) {
        Ok(file) => check(path, &file, own),
        Err(SecretFileError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// Opens a regular file; a pipe that nobody writes to is not waited for.
fn open(path: &Path) -> Result<File, SecretFileError> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|cause| failed(path, cause))?;
    let metadata = file.metadata().map_err(|cause| failed(path, cause))?;
    match metadata.is_file() {
        true => Ok(file),
        false => Err(SecretFileError::NoFile(path.to_owned())),
    }
}

fn failed(path: &Path, cause: io::Error) -> SecretFileError {
    SecretFileError::Read {
        path: path.to_owned(),
        cause,
    }
}

/// What there is to say of a file that is used.
fn check(path: &Path, file: &File, own: Own) -> Result<Option<String>, SecretFileError> {
    let seen = Seen::of(file).map_err(|cause| failed(path, cause))?;
    let name = path.display();
    let mend = format!("chmod 600 {name}");
    match judge(&seen, &Me::beside(&seen)) {
        Verdict::Fine => Ok(None),
        Verdict::Own(why) if own == Own::Report => Ok(Some(format!(
            "{name} {why}; serve takes that away, as does: {mend}"
        ))),
        Verdict::Own(why) => {
            // With an access list the bits of the group are its mask: none of its entries counts then.
            let mended = fchmod(file, Mode::RUSR | Mode::WUSR);
            mended.map_err(|_| SecretFileError::Exposed {
                path: path.to_owned(),
                why: why.clone(),
                remedy: mend,
            })?;
            let remark = format!("{name} {why}; that was taken away (mode 0600)");
            tracing::warn!("{remark}; think of the secret in it as known to them");
            Ok(Some(remark))
        }
        Verdict::Exposed(why) => Err(SecretFileError::Exposed {
            path: path.to_owned(),
            why,
            remedy: format!("chown {} {name} && {mend}", geteuid().as_raw()),
        }),
    }
}

/// The rule.
fn judge(seen: &Seen, me: &Me) -> Verdict {
    // What is mounted read-only was put there for this process, and can't be changed through it.
    if seen.is_on_read_only_mount && seen.owner != me.user && seen.owner != 0 {
        let can_read = seen.others(me).find(|(_, access)| access.can_read());
        return match can_read {
            None => Verdict::Fine,
            Some((who, access)) => Verdict::Exposed(seen.words(&who, access)),
        };
    }
    if seen.is_on_read_only_mount {
        return Verdict::Fine;
    }
    if seen.owner == me.user {
        let bits = seen.mode & 0o077;
        return match seen.others(me).next() {
            _ if bits == 0 => Verdict::Fine,
            Some((who, access)) => Verdict::Own(seen.words(&who, access)),
            None => Verdict::Own(format!("can be used by a group (mode {:04o})", seen.mode)),
        };
    }
    if seen.owner != 0 {
        return Verdict::Exposed(format!("belongs to another user (uid {})", seen.owner));
    }
    if seen.is_list_unknown {
        let why = "has an access list that can't be read, so that who can read it is not known";
        return Verdict::Exposed(why.to_owned());
    }
    match seen.others(me).next() {
        None => Verdict::Fine,
        Some((who, access)) => Verdict::Exposed(seen.words(&who, access)),
    }
}

/// Reading and changing, as far as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Access(u32);

impl Access {
    fn can_read(self) -> bool {
        self.0 & 0o4 != 0
    }

    fn can_write(self) -> bool {
        self.0 & 0o2 != 0
    }
}

impl Seen {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let list = acl::of(file);
        let flags = fstatvfs(file)?.f_flag;
        Ok(Self {
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode() & 0o7777,
            is_list_unknown: list.is_err() && metadata.mode() & 0o070 != 0,
            list: list.unwrap_or(None),
            is_on_read_only_mount: flags.contains(StatVfsMountFlags::RDONLY),
        })
    }

    /// Everybody beside the owner, root and this process who can read or change the file. A group of
    /// this process may read what root owns, and change nothing.
    fn others<'a>(&'a self, me: &'a Me) -> impl Iterator<Item = (Who, Access)> + 'a {
        let bits = |shift: u32| Access(self.mode >> shift & 0o6);
        let entries = match &self.list {
            Some(list) => list.entries(self.group),
            None => vec![(Who::Group(self.group), bits(3).0)],
        };
        let others = (Who::Everyone, bits(0).0);
        let all = entries.into_iter().chain([others]);
        all.map(|(who, bits)| (who, Access(bits & 0o6)))
            .filter(|(who, access)| match who {
                Who::User(user) => *user != me.user && *user != 0 && access.0 != 0,
                Who::Group(group) if me.groups.contains(group) || *group == 0 => access.can_write(),
                Who::Group(_) | Who::Everyone => access.0 != 0,
            })
    }

    fn words(&self, who: &Who, access: Access) -> String {
        let what = match (access.can_read(), access.can_write()) {
            (_, false) => "read",
            (false, true) => "changed",
            (true, true) => "read and changed",
        };
        let by = match who {
            Who::User(user) => format!("the user with uid {user} (access list)"),
            Who::Group(group) => format!("the group with gid {group}"),
            Who::Everyone => "every user of this machine".to_owned(),
        };
        format!("can be {what} by {by} (mode {:04o})", self.mode)
    }
}

/// Somebody who may have access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    User(u32),
    Group(u32),
    Everyone,
}

impl Me {
    /// The process; as root it works for the user whose file it is.
    fn beside(seen: &Seen) -> Self {
        let me = Self::now();
        match me.user {
            0 => Self {
                user: seen.owner,
                ..me
            },
            _ => me,
        }
    }

    fn now() -> Self {
        let mut groups: Vec<u32> = getgroups()
            .unwrap_or_default()
            .into_iter()
            .map(|group| group.as_raw())
            .collect();
        groups.push(getegid().as_raw());
        Self {
            user: geteuid().as_raw(),
            groups,
        }
    }
}

#[cfg(test)]
mod tests;
