//! Python with the packages that a test asks for, laid out once and kept with what was built.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long packages may take to arrive.
const INSTALLATION: Duration = Duration::from_secs(300);

/// Packages for a test, in a Python of their own.
pub struct Packages {
    /// Names the folder.
    pub name: &'static str,
    /// What `pip install --requirement` reads: all that is needed, each version pinned.
    pub requirements: &'static str,
    /// What can be imported once they are there.
    pub modules: &'static [&'static str],
}

impl Packages {
    /// The `python` that has them. Laid out by whoever needs it first, while the others wait.
    pub async fn python(self) -> PathBuf {
        let laid_out = tokio::task::spawn_blocking(move || self.lay_out());
        laid_out.await.unwrap()
    }

    fn lay_out(&self) -> PathBuf {
        let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let folder = built.join(format!("test-python-{}", self.name));
        let lock = File::create(folder.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        // Written last: a folder without it is half made.
        let stamp = folder.join("complete");
        let python = folder.join("bin/python");
        let is_current = fs::read(&stamp).is_ok_and(|made| made == self.requirements.as_bytes());
        if !is_current || !self.works(&python) {
            let _ = fs::remove_dir_all(&folder);
            let mut venv = Command::new("python3");
            run(venv.args(["-m", "venv"]).arg(&folder), INSTALLATION);
            let requirements = folder.join("requirements.txt");
            fs::write(&requirements, self.requirements).unwrap();
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
                .args(["--disable-pip-version-check", "--only-binary", ":all:"])
                .arg("--no-deps")
                .arg("--requirement")
                .arg(&requirements);
            run(&mut pip, INSTALLATION);
            fs::write(stamp, self.requirements).unwrap();
        }
        python
    }

    /// Whether the interpreter that it leads to is still there, and finds them.
    fn works(&self, python: &Path) -> bool {
        const FINDS: &str = "import importlib.util as u, sys; \
                             sys.exit(not all(map(u.find_spec, sys.argv[1:])))";
        let mut command = Command::new(python);
        let status = command.args(["-c", FINDS]).args(self.modules).status();
        status.is_ok_and(|status| status.success())
    }
}

/// Runs a command to its end, which must come in time and be good.
pub fn run(command: &mut Command, limit: Duration) {
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
