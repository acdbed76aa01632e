//! Python with the packages of `requirements.txt`, laid out once and kept with what was built.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long packages may take to arrive.
const INSTALLATION: Duration = Duration::from_secs(300);

/// The folder's `python`. Made by whoever needs it first, while the others wait.
pub(crate) fn python() -> PathBuf {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = built.join("test-python");
    let requirements = sources().join("requirements.txt");
    let wanted = fs::read(&requirements).unwrap();

    let lock = File::create(built.join("test-python.lock")).unwrap();
    lock.lock().unwrap();
    // Written last: a folder without it is half made.
    let stamp = folder.join("complete");
    let python = folder.join("bin/python");
    if fs::read(&stamp).ok().as_ref() != Some(&wanted) || !works(&python) {
        let _ = fs::remove_dir_all(&folder);
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv"]).arg(&folder), INSTALLATION);
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--only-binary", ":all:"])
            .args(["--require-hashes", "--requirement"])
            .arg(&requirements);
        run(&mut pip, INSTALLATION);
        fs::write(stamp, wanted).unwrap();
    }
    python
}

/// Whether the interpreter that it leads to is still there.
fn works(python: &Path) -> bool {
    let mut command = Command::new(python);
    let status = command.args(["-c", "import django, waitress"]).status();
    status.is_ok_and(|status| status.success())
}

pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/django")
}

/// Runs a command to its end, which must come in time and be good.
pub(crate) fn run(command: &mut Command, limit: Duration) {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    let output = ended(child, limit).unwrap_or_else(|| panic!("not in time: {command:?}"));
    assert!(
        output.status.success(),
        "{command:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// `None`: it took too long, and was killed.
fn ended(mut child: std::process::Child, limit: Duration) -> Option<Output> {
    let deadline = Instant::now() + limit;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(child.wait_with_output().unwrap())
}
