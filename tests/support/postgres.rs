//! A PostgreSQL server of a test's own: made anew, on real files that are really flushed, and treated
//! as badly as servers are: killed, frozen, left behind by its replica, put back to an older day.

use std::fs::{self, File};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::{SOON, free_port};

/// Who may come, in which way. The guarded one alone has a password.
const DOOR: &str = "host all guarded all scram-sha-256
local all all trust
host all all 127.0.0.1/32 trust
host all all 10.213.0.0/16 trust
host replication all 127.0.0.1/32 trust
";

/// The password of the role `guarded`.
pub const DATABASE_PASSWORD: &str = "walnut/gate:7@hill";

/// What holds a table.
const HOLDER: &str = "from pg_stat_activity where query like 'lock table%'";

/// A server. Killed when dropped.
pub struct Postgres {
    folder: tempfile::TempDir,
    pub port: u16,
    addresses: Vec<IpAddr>,
    environment: Vec<(String, String)>,
    postmaster: Option<Child>,
}

impl Postgres {
    /// A running server with a role and an empty database, both called `portcullis`.
    pub fn start() -> Self {
        let mut postgres = Self::laid_out(&[]);
        postgres.run();
        postgres.furnish();
        postgres
    }

    /// Its files alone, made with more options of `initdb`; it runs once it is told to.
    pub fn laid_out(options: &[&str]) -> Self {
        let postgres = Self::empty();
        let mut initdb = as_its_own_user(&binary("initdb"));
        initdb.arg("--pgdata").arg(postgres.data());
        initdb.args(["--username=postgres", "--auth=trust", "--no-sync"]);
        initdb.args(["--encoding=UTF8", "--locale=C.UTF-8"]);
        good(initdb.args(options));
        postgres.give("data/pg_hba.conf", DOOR.as_bytes());
        postgres.set("wal_level", "replica");
        postgres.set("shared_buffers", "16MB");
        // In its folder, so that a server that is killed leaves nothing behind.
        postgres.set("dynamic_shared_memory_type", "mmap");
        postgres
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        belongs_to_postgres(folder.path());
        Self {
            folder,
            port: free_port(),
            addresses: vec![IpAddr::from([127, 0, 0, 1])],
            environment: Vec::new(),
            postmaster: None,
        }
    }

    /// Makes the role and the database that gateways are given.
    pub fn furnish(&self) {
        let guarded = format!("create role guarded login password '{DATABASE_PASSWORD}'");
        for sql in [
            "create role portcullis login",
            &guarded,
            "create database portcullis owner portcullis",
        ] {
            self.ask_in("postgres", sql);
        }
    }

    /// What stands in a gateway's configuration.
    pub fn url(&self) -> String {
        url(self.port)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file of its own, in its folder.
    pub fn give(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        belongs_to_postgres(&path);
        path
    }

    /// Writes a setting for its next start.
    pub fn set(&self, name: &str, value: &str) {
        let path = self.data().join("postgresql.conf");
        let mut file = File::options().append(true).open(path).unwrap();
        writeln!(file, "{name} = '{value}'").unwrap();
    }

    /// Makes it listen at one more address from its next start on.
    pub fn listens_at(&mut self, address: IpAddr) {
        self.addresses.push(address);
    }

    /// A variable of its environment from its next start on.
    pub fn env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it, and waits until it answers.
    pub fn run(&mut self) {
        self.launch();
        let deadline = Instant::now() + SOON;
        while !self.query("postgres", "select 1").status.success() {
            assert!(Instant::now() < deadline, "no PostgreSQL:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Starts it, whatever becomes of it.
    pub fn launch(&mut self) {
        assert!(self.postmaster.is_none(), "it runs");
        let mut log = File::options();
        let log = log.create(true).append(true).open(self.log_path()).unwrap();
        let addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
        // The variables are for the server alone: what turns into it has another user.
        let mut command = as_its_own_user(Path::new("env"));
        for (name, value) in &self.environment {
            command.arg(format!("{name}={value}"));
        }
        command.arg(binary("postgres"));
        command.arg("-D").arg(self.data());
        command.args(["-p", &self.port.to_string()]);
        command.args(["-h", &addresses.join(",")]);
        command.arg("-k").arg(self.folder.path());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap());
        self.postmaster = Some(command.stderr(log).spawn().unwrap());
    }

    /// Ends it as its operator would who does not wait for clients.
    pub fn stop(&mut self) {
        self.signal(Signal::INT);
        self.ended();
    }

    /// Ends it at once, with all of its processes, as a power failure would.
    pub fn kill(&mut self) {
        let Some(mut postmaster) = self.postmaster.take() else {
            return;
        };
        let own = Pid::from_child(&postmaster);
        // It makes no children meanwhile.
        let _ = kill_process(own, Signal::STOP);
        let children = children_of(own);
        for process in children.iter().chain([&own]) {
            let _ = kill_process(*process, Signal::KILL);
        }
        postmaster.wait().unwrap();
        // Its memory is shared: the next one does not start before the last has let it go.
        let deadline = Instant::now() + SOON;
        while children.iter().any(|child| runs(*child)) {
            assert!(Instant::now() < deadline, "its processes do not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Stops all of its processes where they are.
    pub fn freeze(&self) {
        let own = Pid::from_child(self.postmaster.as_ref().unwrap());
        kill_process(own, Signal::STOP).unwrap();
        for child in children_of(own) {
            let _ = kill_process(child, Signal::STOP);
        }
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        let own = Pid::from_child(self.postmaster.as_ref().unwrap());
        for process in children_of(own).iter().chain([&own]) {
            let _ = kill_process(*process, Signal::CONT);
        }
    }

    pub fn signal(&self, signal: Signal) {
        let own = Pid::from_child(self.postmaster.as_ref().unwrap());
        kill_process(own, signal).unwrap();
    }

    /// Waits until it has ended, by itself or as it was told to.
    pub fn ended(&mut self) {
        let mut postmaster = self.postmaster.take().unwrap();
        let deadline = Instant::now() + SOON;
        while postmaster.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it goes on:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        let postmaster = self.postmaster.as_mut();
        postmaster.is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    /// Waits until it answers, and starts it anew whenever it gives up.
    pub fn comes_back(&mut self) {
        let deadline = Instant::now() + SOON;
        while !self.query("postgres", "select 1").status.success() {
            assert!(Instant::now() < deadline, "no PostgreSQL:\n{}", self.log());
            if !self.is_running() {
                self.postmaster = None;
                self.launch();
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// What its superuser is answered in the gateways' database: a row a line.
    pub fn ask(&self, sql: &str) -> String {
        self.ask_in("portcullis", sql)
    }

    fn ask_in(&self, database: &str, sql: &str) -> String {
        let output = self.query(database, sql);
        assert!(output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn query(&self, database: &str, sql: &str) -> Output {
        let mut psql = self.client("psql", database);
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        psql.output().unwrap()
    }

    /// Lays the gateways' database into a tablespace, before they come.
    pub fn moves_to(&self, tablespace: &str) {
        let sql = format!("alter database portcullis set tablespace {tablespace}");
        self.ask_in("postgres", &sql);
    }

    /// How many transactions the gateways' database has ended so far.
    pub fn transactions(&self) -> u64 {
        let sql = "select xact_commit + xact_rollback from pg_stat_database \
                   where datname = 'portcullis'";
        self.ask_in("postgres", sql).parse().unwrap()
    }

    /// Locks a table, so that whoever wants to write into it waits, until [`Postgres::lets_go`].
    pub fn holds(&self, table: &str) -> Child {
        let sql = format!("lock table {table}; select pg_sleep(60)");
        let mut psql = self.client("psql", "portcullis");
        psql.args(["-XAtq", "-c", &sql]);
        psql.stdout(Stdio::null()).stderr(Stdio::null());
        let holder = psql.spawn().unwrap();
        self.until(&format!("select pid {HOLDER} and wait_event = 'PgSleep'"));
        holder
    }

    /// Ends what holds a table.
    pub fn lets_go(&self, mut holder: Child) {
        self.ask(&format!("select pg_terminate_backend(pid) {HOLDER}"));
        holder.wait().unwrap();
    }

    /// Waits until something is answered.
    pub fn until(&self, sql: &str) {
        let deadline = Instant::now() + SOON;
        while self.ask(sql).is_empty() {
            assert!(Instant::now() < deadline, "did not happen in time: {sql}");
        }
    }

    /// Leaves some room in the last file of its log, which have a MiB each, and no file after that.
    pub fn uses_up_its_log(&self) {
        let ahead = "select count(*) from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$' \
                     and name > pg_walfile_name(pg_current_wal_insert_lsn())";
        while self.ask(ahead) != "0" {
            self.ask("select pg_switch_wal()");
            self.ask("select pg_logical_emit_message(false, '', '')");
        }
        let rest = "select 1024 * 1024 - file_offset from \
                    pg_walfile_name_offset(pg_current_wal_insert_lsn())";
        let rest: i64 = self.ask(rest).parse().unwrap();
        let most = rest - 100 * 1024;
        if most > 0 {
            let fill = format!("select pg_logical_emit_message(false, '', repeat('x', {most}))");
            self.ask(&fill);
        }
    }

    /// One of PostgreSQL's programs, as the superuser.
    fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(binary(program));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        command.args(["-U", "postgres", "-d", database]);
        command.env("PGCONNECT_TIMEOUT", "5").stdin(Stdio::null());
        command
    }

    /// A copy that follows it; `is_synchronous`: nothing is acknowledged that the copy has not on disk.
    pub fn replica(&self, is_synchronous: bool) -> Self {
        let mut replica = Self::empty();
        let others = "select count(*) from pg_stat_replication";
        let others: usize = self.ask(others).parse().unwrap();
        let from = format!("host=127.0.0.1 port={} user=postgres", self.port);
        let mut copy = as_its_own_user(&binary("pg_basebackup"));
        copy.arg("-D").arg(replica.data()).args(["-d", &from]);
        good(copy.args(["-R", "-X", "stream", "-c", "fast", "--no-sync"]));
        replica.run();
        if is_synchronous {
            self.ask("alter system set synchronous_standby_names = '*'");
            self.ask("select pg_reload_conf()");
        }
        let wanted = if is_synchronous { "sync" } else { "async" };
        let deadline = Instant::now() + SOON;
        loop {
            let states = self.ask("select sync_state from pg_stat_replication");
            if states.lines().count() > others && states.lines().all(|state| state == wanted) {
                return replica;
            }
            assert!(
                Instant::now() < deadline,
                "it does not follow: {}",
                replica.log()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Makes a replica the one that takes changes.
    pub fn promote(&self) {
        assert_eq!(self.ask("select pg_promote()"), "t");
    }

    /// Starts a replica that has ended as a server of its own, as it is when it is whole: a recovery to a point
    /// in time, which begins a new timeline.
    pub fn recovers_to_where_it_is(&mut self) {
        fs::remove_file(self.data().join("standby.signal")).unwrap();
        self.give("data/recovery.signal", b"");
        self.set("restore_command", "false");
        self.set("recovery_target", "immediate");
        self.set("recovery_target_action", "promote");
        self.run();
        self.until("select 1 where not pg_is_in_recovery()");
    }

    /// A copy of its files, as a backup of them is; it is ended for that, and started again.
    pub fn copy_of_files(&mut self) -> PathBuf {
        self.stop();
        let path = self.folder.path().join(format!("files-{}", free_port()));
        good(Command::new("cp").arg("-a").arg(self.data()).arg(&path));
        self.run();
        path
    }

    /// Puts a copy of its files in the place of what is there. It is the same server to itself.
    pub fn goes_back_to(&mut self, files: &Path) {
        self.kill();
        fs::remove_dir_all(self.data()).unwrap();
        good(Command::new("cp").arg("-a").arg(files).arg(self.data()));
        self.run();
    }

    /// A backup of the gateways' database.
    pub fn backup(&self) -> PathBuf {
        let path = self.folder.path().join(format!("backup-{}", free_port()));
        let mut dump = self.client("pg_dump", "portcullis");
        good(dump.args(["--format=custom", "--file"]).arg(&path));
        path
    }

    /// Puts a backup in the place of what is there.
    pub fn restore(&self, backup: &Path) {
        let mut restore = self.client("pg_restore", "portcullis");
        restore.args(["--clean", "--if-exists", "--single-transaction"]);
        good(restore.arg(backup));
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("the end of PostgreSQL's log, the last line first:");
            lines.iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// What stands in a gateway's configuration that comes to a port of this machine.
pub fn url(port: u16) -> String {
    format!("postgres://portcullis@127.0.0.1:{port}/portcullis")
}

/// Its server refuses to run as root, and its files are its user's.
fn as_its_own_user(program: &Path) -> Command {
    let mut command = if geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    // It may not enter the folder of the tests.
    command.current_dir("/");
    command
}

pub(super) fn belongs_to_postgres(path: &Path) {
    if geteuid().is_root() {
        let id = |what| {
            let output = Command::new("id")
                .args([what, "postgres"])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.trim().parse::<u32>().ok()
        };
        chown(path, id("-u"), id("-g")).unwrap();
        assert_ne!(fs::metadata(path).unwrap().uid(), 0);
    }
}

/// A program of the newest PostgreSQL that is installed.
fn binary(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL");
    let newest = versions
        .map(|version| version.unwrap().path())
        .max_by_key(|path| path.file_name().unwrap().to_str()?.parse::<u32>().ok());
    newest.expect("PostgreSQL").join("bin").join(program)
}

fn good(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(Pid::from_raw)
        .filter(|id| stat(*id).is_some_and(|(_, its)| its == parent.as_raw_nonzero().get()))
        .collect()
}

fn runs(process: Pid) -> bool {
    stat(process).is_some_and(|(state, _)| state != "Z")
}

/// State and parent of a process.
fn stat(process: Pid) -> Option<(String, i32)> {
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    let text = fs::read_to_string(path).ok()?;
    let mut fields = text.rsplit(')').next()?.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
