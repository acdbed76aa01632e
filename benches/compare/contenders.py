"""Who is compared: each is started with its own folder and ports, plain and over TLS."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
from hashlib import sha256
from pathlib import Path

PANEL = "http://127.0.0.1:{upstream}"
# Its workers would be somebody else where root starts it, who could not read the folders here.
AS_ONESELF = "user root;" if os.geteuid() == 0 else ""
TICK = os.sysconf("SC_CLK_TCK")


class Contender:
    """A proxy in front of the upstream."""

    def __init__(self, name, folder, upstream, tls):
        self.name, self.folder, self.upstream, self.tls = name, folder, upstream, tls
        self.plain_port, self.tls_port = free_port(), free_port()
        self.processes = []
        folder.mkdir(parents=True)

    def spawn(self, *command, **options):
        log = open(self.folder / "log", "ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, **options)
        self.processes.append(process)
        return process

    def ready(self, patience=60):
        deadline = time.monotonic() + patience
        for port in (self.plain_port, self.tls_port):
            while not listens(port):
                if time.monotonic() > deadline or any(p.poll() is not None for p in self.processes):
                    log = (self.folder / "log").read_text()[-2000:]
                    raise SystemExit(f"{self.name} does not answer at {port}:\n{log}")
                time.sleep(0.02)

    def pids(self):
        """Its processes, with all that they have started."""
        found = [process.pid for process in self.processes]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found

    def cpu(self):
        """Seconds of user and system time so far."""
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def cpu_of_threads(self, name):
        """Seconds of its threads of this name so far."""
        ticks = 0
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").iterdir():
                if (task / "comm").read_text().strip() == name:
                    fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def memory(self):
        """KiB resident in all."""
        total = 0
        for pid in self.pids():
            status = Path(f"/proc/{pid}/status").read_text()
            found = re.search(r"VmRSS:\s+(\d+)", status)
            total += int(found[1]) if found else 0
        return total

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Portcullis(Contender):
    """Authenticates every request against a table of so many sessions."""

    def __init__(self, name, folder, upstream, tls, sessions):
        super().__init__(name, folder, upstream, tls)
        self.sessions = sessions
        self.tokens = []

    def start(self):
        certificate, key = self.tls
        (self.folder / "portcullis.toml").write_text(f"""
[gateway]
listen = ["127.0.0.1:{self.tls_port}"]
listen_plain = ["127.0.0.1:{self.plain_port}"]
external_url = "https://localhost:{self.tls_port}"
trusted_proxies = ["127.0.0.1"]
data_dir = "{self.folder}/data"
connections = 20000
connections_per_address = 20000
[tls]
certificate = "{certificate}"
key = "{key}"
development = true
[session]
idle_timeout = "12h"
[management]
listen = ""
[log]
access = false
[[panel]]
upstream = "{PANEL.format(upstream=self.upstream)}"
""")
        self.command = [
            "target/release/portcullis", "--config", str(self.folder / "portcullis.toml"), "serve",
        ]
        self.spawn(*self.command)
        self.ready()
        empty = self.memory()
        self.stop()
        self.processes = []
        self.sign_in_everybody()
        begun = time.monotonic()
        self.spawn(*self.command)
        self.ready()
        self.start_up = time.monotonic() - begun
        self.bytes_each = (self.memory() - empty) * 1024 // max(1, self.sessions)

    def sign_in_everybody(self):
        """Writes the sessions into the store, as many sign-ins would have."""
        now = int(time.time() * 1000)
        database = sqlite3.connect(self.folder / "data/portcullis.db")
        users = -(-self.sessions // 10)
        database.executemany(
            "INSERT INTO users (id, name, role, email, generation, created) VALUES (?, ?, 'operator', ?, 1, ?)",
            ((number, f"user{number}", f"user{number}@example.org", now) for number in range(1, users + 1)),
        )
        database.executemany(
            "INSERT INTO sessions (token, id, user_id, generation, created, last_seen, address, device, second_factor)"
            " VALUES (?, ?, ?, 1, ?, ?, '192.0.2.1', 'Firefox on Linux', 'totp')",
            (self.session(number, now) for number in range(self.sessions)),
        )
        database.commit()
        database.close()

    def session(self, number, now):
        token = f"t{number:042}"
        if number % max(1, self.sessions // 10_000) == 0:
            self.tokens.append(token)
        return sha256(token.encode()).digest(), f"{number:021}A", number // 10 + 1, now, now


class Nginx(Contender):
    """Bare, or asking another server about every request."""

    def __init__(self, name, folder, upstream, tls, asks=False):
        super().__init__(name, folder, upstream, tls)
        self.asks = asks

    def start(self):
        certificate, key = self.tls
        auth_port = free_port()
        auth = "auth_request /ask;" if self.asks else ""
        ask = f"""
    location = /ask {{
      internal;
      proxy_pass http://ask;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }}"""
        judge = f"""
  upstream ask {{ server 127.0.0.1:{auth_port}; keepalive 64; }}
  server {{ listen 127.0.0.1:{auth_port} reuseport; keepalive_requests 100000000; location / {{ return 204; }} }}"""
        (self.folder / "nginx.conf").write_text(f"""
{AS_ONESELF}
daemon off;
worker_processes auto;
pid {self.folder}/pid;
error_log stderr warn;
worker_rlimit_nofile 30000;
events {{ worker_connections 10000; }}
http {{
  access_log off;
  client_body_temp_path {self.folder}/body;
  proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi;
  uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
  client_max_body_size 0;
  keepalive_requests 100000000;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream panel {{ server 127.0.0.1:{self.upstream}; keepalive 64; keepalive_requests 100000000; }}
  {judge if self.asks else ""}
  server {{
    listen 127.0.0.1:{self.plain_port} reuseport;
    listen 127.0.0.1:{self.tls_port} ssl http2 reuseport;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
    http2_max_requests 100000000;
    {ask if self.asks else ""}
    location / {{
      {auth}
      proxy_pass http://panel;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
""")
        binary = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        self.spawn(binary, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"))
        self.ready()


class Haproxy(Contender):
    def start(self):
        certificate, key = self.tls
        pair = self.folder / "pair.pem"
        pair.write_text(Path(certificate).read_text() + Path(key).read_text())
        (self.folder / "haproxy.cfg").write_text(f"""
global
  nbthread {os.cpu_count()}
  maxconn 4000
defaults
  mode http
  option http-keep-alive
  option forwardfor
  http-reuse always
  timeout connect 10s
  timeout client 300s
  timeout server 300s
  timeout tunnel 300s
frontend in
  bind 127.0.0.1:{self.plain_port}
  bind 127.0.0.1:{self.tls_port} ssl crt {pair} alpn h2,http/1.1
  http-request set-header X-Forwarded-Proto http
  default_backend panel
backend panel
  server panel 127.0.0.1:{self.upstream}
""")
        binary = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
        self.spawn(binary, "-db", "-f", str(self.folder / "haproxy.cfg"))
        self.ready()


class Caddy(Contender):
    def start(self):
        certificate, key = self.tls
        (self.folder / "Caddyfile").write_text(f"""
{{
  admin off
  auto_https off
  storage file_system {self.folder}/storage
  servers {{
    protocols h1 h2
  }}
}}
http://127.0.0.1:{self.plain_port}, http://localhost:{self.plain_port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{self.upstream}
}}
https://localhost:{self.tls_port} {{
  bind 127.0.0.1
  tls {certificate} {key}
  reverse_proxy 127.0.0.1:{self.upstream}
}}
""")
        home = {**os.environ, "HOME": str(self.folder)}
        self.spawn("caddy", "run", "--adapter", "caddyfile", "--config", str(self.folder / "Caddyfile"), env=home)
        self.ready()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def trusting():
    """TLS that trusts anybody: the certificate was made a moment ago."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
