//! What a node remembers of the feed beyond its own end, in its folder. A server whose files were put back
//! from a backup, or a former primary that returns, is the same store to itself: only somebody else can know
//! what it had acknowledged.
//!
//! One line of a fixed length, written in one piece over the one before: a process that is killed leaves the
//! line whole, and so does a machine that loses its power, perhaps with the line before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::store::Mark;

/// The place of the line, and what stands in it.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    /// `None` for a node that keeps nothing, or can't.
    file: Option<File>,
    line: String,
    is_lost: bool,
}

const NAME: &str = "followed";

/// Within one sector of any disk.
const LENGTH: usize = 256;

impl Memory {
    /// Of a command that only looks.
    pub(super) fn none() -> Self {
        Self {
            path: PathBuf::new(),
            file: None,
            line: String::new(),
            is_lost: false,
        }
    }

    /// What the node before this one has left in the folder, and the place for what comes.
    pub(super) fn of(data_dir: &Path) -> (Self, Option<Mark>) {
        let path = data_dir.join(NAME);
        let mut memory = Self {
            path,
            ..Self::none()
        };
        let mark = match memory.open() {
            Ok(mark) => mark,
            Err(fault) => {
                memory.complain(&fault);
                memory.is_lost = true;
                None
            }
        };
        (memory, mark)
    }

    /// `None` where there was nothing before.
    fn open(&mut self) -> io::Result<Option<Mark>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.mode(0o600).open(&self.path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        self.file = Some(file);
        let line = text.trim_end();
        match (text.is_empty(), line.parse()) {
            (true, _) => Ok(None),
            (false, Ok(mark)) => {
                line.clone_into(&mut self.line);
                Ok(Some(mark))
            }
            (false, Err(())) => Err(io::Error::other("it is not what a gateway writes there")),
        }
    }

    /// Whether there was something that can't be read.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// What was lost does not matter any more.
    pub(super) fn is_found_again(&mut self) {
        self.is_lost = false;
    }

    /// Before this node reports that it has applied it.
    pub(super) fn keep(&mut self, mark: &Mark) {
        let Some(file) = &self.file else { return };
        let line = mark.to_string();
        if line == self.line {
            return;
        }
        let padded = format!("{line:<width$}\n", width = LENGTH - 1);
        if let Err(fault) = file.write_all_at(padded.as_bytes(), 0) {
            self.complain(&fault);
        }
        self.line = line;
    }

    fn complain(&self, fault: &io::Error) {
        tracing::warn!(
            %fault,
            "can't keep in {} what was heard from the store: after a restart this gateway does not notice that the store was set back",
            self.path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mark_is_remembered_and_what_is_none_is_a_loss() {
        let folder = tempfile::tempdir().unwrap();
        let (mut memory, mark) = Memory::of(folder.path());
        assert_eq!((mark, memory.is_lost()), (None, false), "the first start");
        for text in [
            "7312/16384/16402 00000001 17 -99",
            "7312/16384/16402 00000002 1 -",
        ] {
            let mark: Mark = text.parse().unwrap();
            memory.keep(&mark);
            let (again, found) = Memory::of(folder.path());
            assert_eq!((found, again.is_lost()), (Some(mark), false));
        }
        for text in ["\n", "gibberish", "7312/16384/16402 0000"] {
            std::fs::write(folder.path().join(NAME), text).unwrap();
            let (mut lost, mark) = Memory::of(folder.path());
            assert_eq!((mark, lost.is_lost()), (None, true), "{text:?}");
            lost.is_found_again();
            lost.keep(&"7312/16384/16402 00000003 2 5".parse().unwrap());
            assert!(Memory::of(folder.path()).1.is_some(), "written over");
        }
    }
}
