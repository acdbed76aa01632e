"""What the contenders are asked for: the upstream behind them, and who loads them."""

import base64
import http.client
import os
import re
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

from contenders import AS_ONESELF, Contender, free_port, trusting

# What Firefox sends, about 700 bytes with the cookies of a panel.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://localhost/users/?page=2&order=name",
    "DNT": "1",
    "Sec-GPC": "1",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
    "Priority": "u=0, i",
}
COOKIES = "csrftoken=Yy4sR1cGQ8bS5sWwEo0mXn2kV7fJ3aTz; __Host-Http-portcullis={token}; sidebar=open"

WRK = """
local tokens, fields = {{}}, {fields}
for token in io.lines("{tokens}") do tokens[#tokens + 1] = token end
local seeds = 0
function setup(thread) thread:set("seed", seeds) seeds = seeds + 1 end
function init() math.randomseed(os.time() + seed) end
function request()
  fields["Cookie"] = "{before}" .. tokens[math.random(#tokens)] .. "{after}"
  return wrk.format({method}, nil, fields, {body})
end
local wrong = 0
function response(status) if status ~= 200 then wrong = wrong + 1 end end
function done(summary, latency)
  print("REQUESTS " .. summary.requests)
  print("ERRORS " .. (summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.status + summary.errors.timeout))
  print("P50 " .. latency:percentile(50) .. " P99 " .. latency:percentile(99))
end
"""


class Upstream(Contender):
    """nginx with small and large answers; beside it what takes uploads and echoes WebSockets."""

    def __init__(self, folder):
        super().__init__("upstream", folder, 0, None)
        self.sink = free_port()
        self.tls_port = self.plain_port

    def start(self):
        (self.folder / "www").mkdir()
        (self.folder / "www/1k").write_bytes(os.urandom(1024))
        (self.folder / "www/1m").write_bytes(os.urandom(1024 * 1024))
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
  open_file_cache max=10;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  server {{
    listen 127.0.0.1:{self.plain_port} reuseport;
    root {self.folder}/www;
    location = /form {{ return 200 ok; }}
  }}
}}
""")
        self.spawn("/usr/sbin/nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"))
        self.ready()


class Sink:
    """Takes uploads whole, and echoes WebSockets; a thread for each connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.listener.accept()
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        block = bytearray(1 << 20)
        rest = b""
        try:
            while True:
                while b"\r\n\r\n" not in rest:
                    more = stream.recv(65536)
                    if not more:
                        return
                    rest += more
                head, rest = rest.split(b"\r\n\r\n", 1)
                if b"upgrade: websocket" in head.lower():
                    return echo(stream, head)
                length = re.search(rb"(?i)content-length: (\d+)", head)
                left = int(length[1]) - len(rest) if length else 0
                while left > 0:
                    read = stream.recv_into(block, min(left, len(block)))
                    if not read:
                        return
                    left -= read
                rest = b""
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            pass
        finally:
            stream.close()


def echo(stream, head):
    from hashlib import sha1
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)[1]
    accept = base64.b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    stream.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    # Masked with zeroes, a message of the client is echoed by taking out the mask.
    while True:
        frame = exactly(stream, 6 + MESSAGE)
        if not frame:
            return
        stream.sendall(frame[:1] + bytes([MESSAGE]) + frame[6:])


MESSAGE = 100


def exactly(stream, count):
    read = b""
    while len(read) < count:
        more = stream.recv(count - len(read))
        if not more:
            return b""
        read += more
    return read


def wrk(folder, url, tokens, seconds, connections, method="GET", body=0, close=False):
    """Requests, errors, and half and 99 in 100 of the latencies in microseconds."""
    before, after = COOKIES.split("{token}")
    fields = {**BROWSER, **({"Connection": "close"} if close else {})}
    lua = ", ".join(f'["{name}"] = "{value}"' for name, value in fields.items())
    (folder / "tokens").write_text("\n".join(tokens))
    (folder / "wrk.lua").write_text(WRK.format(
        fields="{" + lua + "}", tokens=folder / "tokens", before=before, after=after,
        method=f'"{method}"', body=f'string.rep("x", {body})' if body else "nil"))
    told = subprocess.run(
        ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(folder / "wrk.lua"), url],
        capture_output=True, text=True, check=True).stdout
    number = lambda name: float(re.search(rf"{name} ([\d.]+)", told)[1])
    return {"requests": number("REQUESTS"), "errors": number("ERRORS"), "p50": number("P50"), "p99": number("P99")}


def h2load(url, token, seconds, method="GET"):
    """The same over HTTP/2: 16 connections with 8 streams each; one token, as h2load has no choice."""
    fields = {**BROWSER, "Cookie": COOKIES.format(token=token)}
    fields.pop("User-Agent")
    fields = [part for name, value in fields.items() for part in ("-H", f"{name.lower()}: {value}")]
    told = subprocess.run(
        ["h2load", "-t2", "-c16", "-m8", f"-D{seconds}", "-H", f":method: {method}", *fields, url],
        capture_output=True, text=True, check=True).stdout
    done = int(re.search(r"requests: \d+ total, \d+ started, (\d+) done", told)[1])
    wrong = [int(re.search(rf"(\d+) {kind}", told)[1]) for kind in ("errored", "timeout", "3xx", "4xx", "5xx")]
    return {"requests": done, "errors": sum(wrong), "p50": None, "p99": None}


def websockets(port, token, seconds, count=8):
    """Messages of 100 bytes sent and echoed, one after the other on each of a few connections."""
    counts = [0] * count
    until = time.monotonic() + seconds

    def talk(index):
        stream = socket.create_connection(("127.0.0.1", port))
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cookie = COOKIES.format(token=token)
        stream.sendall((
            f"GET /ws HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Origin: https://localhost:{port}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {cookie}\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = stream.recv(1)
            if not more:
                raise SystemExit(f"no WebSocket at {port}: {head!r}")
            head += more
        if b" 101 " not in head:
            raise SystemExit(f"no WebSocket at {port}: {head!r}")
        frame = bytes([0x82, 0x80 | MESSAGE]) + b"\0\0\0\0" + b"m" * MESSAGE
        while time.monotonic() < until:
            stream.sendall(frame)
            if not exactly(stream, 2 + MESSAGE):
                return
            counts[index] += 1
        stream.close()

    talkers = [threading.Thread(target=talk, args=(index,)) for index in range(count)]
    [talker.start() for talker in talkers]
    [talker.join() for talker in talkers]
    return {"requests": sum(counts), "errors": 0, "p50": None, "p99": None}


class SignIns:
    """People who try to sign in, over and over, each from an address of their own. Nobody has their
    names, so that no throttle ends it; a password is hashed all the same."""

    def __init__(self, port, origin, count=50):
        self.port, self.origin, self.tried, self.until = port, origin, 0, threading.Event()
        self.people = [threading.Thread(target=self.try_on, args=(number,)) for number in range(count)]

    def __enter__(self):
        [person.start() for person in self.people]
        return self

    def __exit__(self, *_):
        self.until.set()
        [person.join() for person in self.people]

    def try_on(self, number):
        tries = 0
        while not self.until.is_set():
            tries += 1
            fields = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin",
                      "Host": self.origin.split("//")[1], "X-Forwarded-Proto": "https",
                      "X-Forwarded-For": f"10.{number}.{tries >> 8 & 255}.{tries & 255}"}
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request("GET", "/.portcullis/login", headers=fields)
                answer = connection.getresponse()
                page, cookie = answer.read().decode(), answer.getheader("Set-Cookie").split(";")[0]
                csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
                form = urlencode({"csrf": csrf, "user": f"nobody{number}-{tries}", "password": "plum tractor elbow"})
                connection.request("POST", "/.portcullis/login", form, {
                    **fields, "Cookie": cookie, "Origin": self.origin,
                    "Content-Type": "application/x-www-form-urlencoded"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 401:
                    raise SystemExit(f"a sign-in was answered {answer.status}")
                self.tried += 1
            finally:
                connection.close()


def idle(port, token, count):
    """Opens so many connections that have made one request each, and keeps them."""
    context, kept = trusting(), []
    for _ in range(count):
        stream = socket.create_connection(("127.0.0.1", port))
        stream = context.wrap_socket(stream, server_hostname="localhost")
        cookie = COOKIES.format(token=token)
        stream.sendall(f"GET /1k HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
        if b" 200 " not in stream.recv(65536):
            raise SystemExit(f"no answer at {port}")
        kept.append(stream)
    return kept
