//! The proxies themselves, from Debian, each with a folder of its own.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::behind::{HOST, listens};

/// A running proxy. Ended when dropped.
pub(crate) struct Proxy {
    folder: tempfile::TempDir,
    process: Child,
}

/// A folder with a certificate for the host of the documents: `pem` and `key`.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    fs::write(folder.path().join("pem"), made.cert.pem()).unwrap();
    let key = made.signing_key.serialize_pem();
    fs::write(folder.path().join("key"), key).unwrap();
    folder
}

impl Proxy {
    /// nginx with these servers.
    pub(crate) async fn nginx(folder: tempfile::TempDir, servers: &str, port: u16) -> Self {
        let path = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {path}/{name};\n"))
            .concat();
        // Its workers reach the folder as the user who runs the test.
        let user = match rustix::process::geteuid().is_root() {
            true => "user root;\n",
            false => "",
        };
        let text = format!(
            "{user}daemon off;\npid {path}/pid;\nerror_log {path}/log;\nworker_processes 1;\n\
             events {{}}\nhttp {{\n    access_log off;\n{temporary}{servers}}}\n"
        );
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let mut nginx = Command::new(program("nginx"));
        nginx.arg("-c").arg(folder.path().join("nginx.conf"));
        nginx.arg("-p").arg(folder.path());
        Self::run(folder, nginx, port).await
    }

    /// Caddy with these sites.
    pub(crate) async fn caddy(folder: tempfile::TempDir, sites: &str, ports: (u16, u16)) -> Self {
        let (http, https) = ports;
        let options =
            format!("{{\n    http_port {http}\n    https_port {https}\n    admin off\n}}\n");
        fs::write(folder.path().join("Caddyfile"), options + sites).unwrap();
        let mut caddy = Command::new("caddy");
        caddy.args(["run", "--config", "Caddyfile"]);
        for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            caddy.env(name, folder.path());
        }
        Self::run(folder, caddy, https).await
    }

    /// HAProxy with these sections.
    pub(crate) async fn haproxy(folder: tempfile::TempDir, sections: &str, port: u16) -> Self {
        fs::write(folder.path().join("haproxy.cfg"), sections).unwrap();
        let mut haproxy = Command::new(program("haproxy"));
        haproxy.args(["-db", "-f", "haproxy.cfg"]);
        Self::run(folder, haproxy, port).await
    }

    async fn run(folder: tempfile::TempDir, mut program: Command, port: u16) -> Self {
        let told = File::create(folder.path().join("told")).unwrap();
        let process = program
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(told.try_clone().unwrap())
            .stderr(told)
            .spawn()
            .unwrap();
        let proxy = Self { folder, process };
        listens(port).await;
        proxy
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

/// Programs of the system are not on everybody's path.
fn program(name: &str) -> String {
    let system = format!("/usr/sbin/{name}");
    match Path::new(&system).exists() {
        true => system,
        false => name.to_owned(),
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.process);
        // nginx ends its workers by itself when it is asked to end.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the proxy: {}\n{}", self.read("told"), self.read("log"));
        }
    }
}
