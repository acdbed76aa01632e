//! The access list of a file (acl(5)), which the mode alone does not show: `system.posix_acl_access`
//! as Linux keeps it, a version and entries of a tag, permissions and an id.

use std::fs::File;
use std::io;

use rustix::fs::fgetxattr;
use rustix::io::Errno;

use super::Who;

/// The entries of a list beside those that stand in the mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AccessList {
    users: Vec<(u32, u32)>,
    groups: Vec<(u32, u32)>,
    owning_group: u32,
    /// What entries of users and groups have at most.
    mask: Option<u32>,
}

const NAME: &str = "system.posix_acl_access";
const VERSION: u32 = 2;
const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;

/// More than any file system keeps.
const LARGEST: usize = 64 * 1024;

/// The list of an open file; `None` where the mode says everything.
///
/// # Errors
/// When it can't be read, or can't be understood.
pub(super) fn of(file: &File) -> io::Result<Option<AccessList>> {
    let mut bytes = vec![0; LARGEST];
    match fgetxattr(file, NAME, bytes.as_mut_slice()) {
        Ok(length) => {
            bytes.truncate(length);
            let list = AccessList::parse(&bytes);
            list.map(Some)
                .ok_or_else(|| io::ErrorKind::InvalidData.into())
        }
        // None, or a file system that has none.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

impl AccessList {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, entries) = bytes.split_first_chunk::<4>()?;
        let (entries, rest) = entries.as_chunks::<8>();
        if u32::from_le_bytes(*version) != VERSION || !rest.is_empty() {
            return None;
        }
        let mut list = Self::default();
        for [t0, t1, p0, p1, id @ ..] in entries {
            let permissions = u32::from(u16::from_le_bytes([*p0, *p1]));
            let id = u32::from_le_bytes(*id);
            match u16::from_le_bytes([*t0, *t1]) {
                USER => list.users.push((id, permissions)),
                GROUP => list.groups.push((id, permissions)),
                OWNING_GROUP => list.owning_group = permissions,
                MASK => list.mask = Some(permissions),
                // The owner and everyone else stand in the mode.
                _ => {}
            }
        }
        Some(list)
    }

    /// Who has what by it, as far as the mask lets them; `group` is the file's.
    pub(super) fn entries(&self, group: u32) -> Vec<(Who, u32)> {
        let mask = self.mask.unwrap_or(0o7);
        let users = self
            .users
            .iter()
            .map(|(user, bits)| (Who::User(*user), bits & mask));
        let groups = self
            .groups
            .iter()
            .map(|(group, bits)| (Who::Group(*group), bits & mask));
        let own = (Who::Group(group), self.owning_group & mask);
        users.chain(groups).chain([own]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As systemd writes it for a credential: the service's user may read, nobody else.
    #[test]
    fn a_list_is_read_as_linux_keeps_it() {
        let entry = |tag: u16, bits: u16, id: u32| {
            [
                tag.to_le_bytes().as_slice(),
                &bits.to_le_bytes(),
                &id.to_le_bytes(),
            ]
            .concat()
        };
        let list = [
            VERSION.to_le_bytes().to_vec(),
            entry(0x01, 4, u32::MAX),
            entry(USER, 4, 990),
            entry(OWNING_GROUP, 0, u32::MAX),
            entry(GROUP, 6, 4),
            entry(MASK, 4, u32::MAX),
            entry(0x20, 0, u32::MAX),
        ]
        .concat();
        let read = AccessList::parse(&list).unwrap();
        let expected = [(Who::User(990), 4), (Who::Group(4), 4), (Who::Group(0), 0)];
        assert_eq!(read.entries(0), expected);
        for cut in [&list[..3], &list[..9], &[1, 0, 0, 0], &[]] {
            assert_eq!(AccessList::parse(cut), None);
        }
    }
}
