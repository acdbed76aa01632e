//! Who can read a file, as tables; and real files with modes and access lists.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{XattrFlags, setxattr};

use super::*;

const GATEWAY: u32 = 990;
const ITS_GROUP: u32 = 991;

fn seen(owner: u32, group: u32, mode: u32) -> Seen {
    Seen {
        owner,
        group,
        mode,
        list: None,
        is_list_unknown: false,
        is_on_read_only_mount: false,
    }
}

fn judged(seen: &Seen) -> Verdict {
    let groups = vec![ITS_GROUP];
    judge(
        seen,
        &Me {
            user: GATEWAY,
            groups,
        },
    )
}

#[test]
fn what_nobody_else_can_read_is_used() {
    for (owner, group, mode) in [
        (GATEWAY, ITS_GROUP, 0o600),
        (GATEWAY, ITS_GROUP, 0o400),
        (GATEWAY, 4, 0o700),
        // Kubernetes with fsGroup, and Debian's way with a group of the service.
        (0, ITS_GROUP, 0o440),
        (0, ITS_GROUP, 0o640),
        (0, 0, 0o400),
        (0, 0, 0o440),
    ] {
        let found = judged(&seen(owner, group, mode));
        assert_eq!(found, Verdict::Fine, "{owner}:{group} {mode:o}");
    }
}

#[test]
fn what_others_can_read_or_change_is_not_used() {
    for (owner, group, mode, word) in [
        (0, 0, 0o444, "every user"),
        (0, ITS_GROUP, 0o644, "every user"),
        (0, ITS_GROUP, 0o660, "changed"),
        (0, 4, 0o440, "gid 4"),
        (0, 4, 0o402, "every user"),
        (0, 0, 0o420, "gid 0"),
        (1000, ITS_GROUP, 0o640, "another user"),
        (1000, 1000, 0o600, "another user"),
    ] {
        match judged(&seen(owner, group, mode)) {
            Verdict::Exposed(why) => assert!(why.contains(word), "{why}"),
            other => panic!("{owner}:{group} {mode:o} is {other:?}"),
        }
    }
}

#[test]
fn what_is_its_own_can_be_mended() {
    for (group, mode) in [
        (4, 0o640),
        (ITS_GROUP, 0o640),
        (ITS_GROUP, 0o644),
        (ITS_GROUP, 0o602),
        (ITS_GROUP, 0o610),
    ] {
        let found = judged(&seen(GATEWAY, group, mode));
        assert!(
            matches!(found, Verdict::Own(_)),
            "{group} {mode:o} is {found:?}"
        );
    }
}

#[test]
fn a_read_only_mount_is_the_containers_alone() {
    for (owner, mode, is_fine) in [
        (0, 0o444, true),
        (0, 0o644, true),
        (GATEWAY, 0o444, true),
        (1000, 0o400, true),
        // Whose it is can read it, and so can everybody: nothing says that it was put there for this.
        (1000, 0o444, false),
    ] {
        let mounted = Seen {
            is_on_read_only_mount: true,
            ..seen(owner, 1000, mode)
        };
        assert_eq!(
            judged(&mounted) == Verdict::Fine,
            is_fine,
            "{owner} {mode:o}"
        );
    }
}

/// The version, and entries of a tag, permissions and an id.
fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, bits, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn an_access_list_says_who_stands_behind_the_bits_of_the_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let of = |user: u32| {
        fs::write(&path, "secret").unwrap();
        let entries = [
            (0x01, 4, u32::MAX),
            (0x02, 4, user),
            (0x04, 0, u32::MAX),
            (0x10, 4, u32::MAX),
            (0x20, 0, u32::MAX),
        ];
        let bytes = list(&entries);
        setxattr(
            &path,
            "system.posix_acl_access",
            &bytes,
            XattrFlags::empty(),
        )
        .unwrap();
        Seen {
            owner: 0,
            group: 0,
            ..Seen::of(&File::open(&path).unwrap()).unwrap()
        }
    };
    // systemd: the mode is 0440, and only the gateway's user is let in.
    let credential = of(GATEWAY);
    assert_eq!(credential.mode, 0o440);
    assert_eq!(judged(&credential), Verdict::Fine);
    match judged(&of(1000)) {
        Verdict::Exposed(why) => assert!(why.contains("uid 1000"), "{why}"),
        other => panic!("{other:?}"),
    }
    // Its own: chmod takes the mask away, and with it every entry.
    let read = read(&path, Own::Mend).unwrap();
    assert!(read.remark.is_some());
    let after = Seen::of(&File::open(&path).unwrap()).unwrap();
    assert_eq!(after.mode, 0o600);
    assert_eq!(after.others(&Me::now()).count(), 0, "{after:?}");
}

#[test]
fn an_own_file_is_mended_once_and_a_look_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "secret").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let looked = examine(&path, Own::Report).unwrap().unwrap();
    assert!(looked.contains("chmod 600") && mode() == 0o644, "{looked}");
    assert!(read(&path, Own::Mend).unwrap().remark.is_some());
    assert_eq!(mode(), 0o600);
    let again = read(&path, Own::Mend).unwrap();
    assert_eq!(
        (again.remark, again.content.expose().as_slice()),
        (None, b"secret".as_slice())
    );
}

#[test]
fn what_is_no_secret_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let told = |path: &Path| read(path, Own::Report).unwrap_err().to_string();
    assert!(told(folder.path()).contains("no regular file"));
    assert!(told(&folder.path().join("none")).contains("can't read"));
    assert!(told(Path::new("/dev/zero")).contains("no regular file"));
    let large = folder.path().join("large");
    fs::write(&large, vec![b'a'; 1 + LARGEST as usize]).unwrap();
    assert!(told(&large).contains("larger"));
    assert_eq!(
        examine(&folder.path().join("none"), Own::Report).unwrap(),
        None
    );
    let odd = folder.path().join("odd");
    fs::write(&odd, b"a\xff").unwrap();
    fs::set_permissions(&odd, PermissionsExt::from_mode(0o600)).unwrap();
    let told = read_text(&odd, Own::Report).unwrap_err().to_string();
    assert!(told.contains("byte 2"), "{told}");
}
