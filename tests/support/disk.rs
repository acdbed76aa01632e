//! A small disk that a test can fill. Taken away when dropped.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::postgres::belongs_to_postgres;

/// A disk of some MiB, which belongs to PostgreSQL.
pub struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    pub fn of_mebibytes(size: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let options = format!("size={size}m,mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "disk"]);
        assert!(mount.arg(folder.path()).status().unwrap().success());
        let disk = Self { folder };
        fs::create_dir(disk.path()).unwrap();
        belongs_to_postgres(&disk.path());
        fs::set_permissions(disk.path(), PermissionsExt::from_mode(0o700)).unwrap();
        disk
    }

    /// An empty folder on it.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("folder")
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for size in [1 << 16, 1 << 9, 1] {
            let bytes = vec![0; size];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    /// Gives it back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(self.folder.path());
    }
}

fn unmount(path: &Path) {
    let _ = Command::new("umount").arg("--lazy").arg(path).status();
}
