"""Compares what an authenticated request through the gateway costs with what others cost without.

CPU is user and system time of a contender's processes from /proc, divided by requests. Contenders take
turns, round after round; what is told are medians, and the median of each round's ratio to bare nginx,
since a machine is never as fast twice.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
from pathlib import Path

import load
from contenders import Caddy, Haproxy, Nginx, Portcullis

BASE = "nginx"

# Name, what is asked for, over TLS, and how.
SCENARIOS = {
    "h1": ("HTTP/1.1 keep-alive, 1 KiB", False, lambda at: load.wrk(at.folder, at.url("/1k"), at.tokens, at.seconds, 64)),
    "tls": ("TLS 1.3 keep-alive, 1 KiB", True, lambda at: load.wrk(at.folder, at.url("/1k"), at.tokens, at.seconds, 64)),
    "h2": ("HTTP/2, 1 KiB", True, lambda at: load.h2load(at.url("/1k"), at.tokens[0], at.seconds)),
    "new": ("a new TLS connection per request", True, lambda at: load.wrk(at.folder, at.url("/1k"), at.tokens, at.seconds, 16, close=True)),
    "post": ("HTTP/1.1, forms of 1 KiB", False, lambda at: load.wrk(at.folder, at.url("/form"), at.tokens, at.seconds, 64, "POST", 1024)),
    "head": ("HTTP/2, HEAD", True, lambda at: load.h2load(at.url("/1k"), at.tokens[0], at.seconds, "HEAD")),
    "1m": ("HTTP/1.1, 1 MiB answers", False, lambda at: load.wrk(at.folder, at.url("/1m"), at.tokens, at.seconds, 16)),
    "upload": ("HTTP/1.1, 10 MiB uploads", False, lambda at: load.wrk(at.folder, at.url("/upload"), at.tokens, at.seconds, 4, "POST", 10 << 20)),
    "ws": ("WebSocket, 100-byte messages there and back", False, lambda at: load.websockets(at.port, at.tokens[0], at.seconds)),
}
# Those that need an upstream that reads and talks.
TALKING = {"upload", "ws"}


class At:
    """A contender as one scenario sees it."""

    def __init__(self, contender, tls, tokens, seconds):
        self.contender, self.tokens, self.seconds = contender, tokens, seconds
        self.folder = contender.folder
        self.port = contender.tls_port if tls else contender.plain_port
        self.scheme = "https" if tls else "http"

    def url(self, path):
        return f"{self.scheme}://localhost:{self.port}{path}"


def measure(contender, tls, run, tokens, seconds):
    at = At(contender, tls, tokens, seconds)
    before = contender.cpu()
    got = run(at)
    cpu = contender.cpu() - before
    if not got["requests"] or got["errors"]:
        raise SystemExit(f"{contender.name}: {got}: this was no fair run")
    got |= {"cpu": cpu / got["requests"] * 1e6, "rate": got["requests"] / seconds, "memory": contender.memory()}
    return got


def started(folder, upstream, sessions, names):
    certificate, key = folder / "pair.pem", folder / "pair.key"
    pair = (str(certificate), str(key))
    # The gateway first: it makes the certificate that all use.
    gateway = Portcullis("portcullis", folder / "portcullis", upstream, pair, sessions)
    gateway.start()
    others = {
        "nginx": lambda name, at: Nginx(name, at, upstream, pair),
        "nginx auth_request": lambda name, at: Nginx(name, at, upstream, pair, asks=True),
        "haproxy": lambda name, at: Haproxy(name, at, upstream, pair),
        "caddy": lambda name, at: Caddy(name, at, upstream, pair),
    }
    contenders = [gateway]
    try:
        for name in names:
            contenders.append(others[name](name, folder / name.replace(" ", "-")))
            contenders[-1].start()
    except BaseException:
        for contender in contenders:
            contender.stop()
        raise
    return gateway, contenders


def compare(arguments, folder):
    upstream = load.Upstream(folder / "upstream")
    upstream.start()
    sink = load.Sink()
    results = {}
    try:
        for port, chosen in ((upstream.plain_port, [s for s in arguments.scenarios if s not in TALKING]),
                             (sink.port, [s for s in arguments.scenarios if s in TALKING])):
            if not chosen:
                continue
            inner = Path(tempfile.mkdtemp(dir=folder))
            gateway, contenders = started(inner, port, arguments.sessions, arguments.against)
            try:
                for scenario in chosen:
                    results[scenario] = rounds(scenario, contenders, gateway.tokens, arguments)
                if port != sink.port:
                    results["gateway"] = {
                        "sessions": arguments.sessions,
                        "start_up_seconds": round(gateway.start_up, 2),
                        "bytes_per_session": gateway.bytes_each,
                    }
                    results["sign-ins"] = beside_sign_ins(gateway, arguments)
                    results["idle"] = {c.name: idle_memory(c, gateway.tokens[0]) for c in contenders}
            finally:
                for contender in contenders:
                    contender.stop()
    finally:
        upstream.stop()
    return results


def rounds(scenario, contenders, tokens, arguments):
    words, tls, run = SCENARIOS[scenario]
    print(f"\n{words}", flush=True)
    got = {contender.name: [] for contender in contenders}
    for contender in contenders:
        measure(contender, tls, run, tokens, 1)
    for _ in range(arguments.rounds):
        for contender in contenders:
            got[contender.name].append(measure(contender, tls, run, tokens, arguments.seconds))
    table = {name: summary(runs, got[BASE]) for name, runs in got.items()}
    print("| | CPU us | to nginx | requests/s | p50 us | p99 us | MiB |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name, row in table.items():
        p50, p99 = (f"{row[key]:.0f}" if row[key] else "" for key in ("p50", "p99"))
        print(f"| {name} | {row['cpu']:.1f} | {row['ratio']:.2f} | {row['rate']:.0f} | {p50} | {p99} | {row['memory'] / 1024:.0f} |", flush=True)
    return table


def summary(runs, base):
    middle = lambda key: statistics.median(run[key] for run in runs) if runs[0][key] is not None else None
    ratios = [run["cpu"] / other["cpu"] for run, other in zip(runs, base)]
    return {key: middle(key) for key in ("cpu", "rate", "p50", "p99", "memory")} | {
        "ratio": statistics.median(ratios), "ratios": [round(ratio, 3) for ratio in ratios]}


def idle_memory(contender, token, count=1000):
    """KiB for each of so many idle TLS connections."""
    before = contender.memory()
    kept = load.idle(contender.tls_port, token, count)
    grown = contender.memory() - before
    for stream in kept:
        stream.close()
    print(f"{contender.name}: {grown / count:.1f} KiB for an idle TLS connection", flush=True)
    return grown / count


def beside_sign_ins(gateway, arguments):
    """What those who are at work feel of fifty people who try to sign in, all the time."""
    print("\nHTTP/1.1, 1 KiB, alone and beside 50 sign-ins in flight", flush=True)
    origin, runs = f"https://localhost:{gateway.tls_port}", []
    ask = lambda: load.wrk(gateway.folder, f"http://localhost:{gateway.plain_port}/1k", gateway.tokens, arguments.seconds, 16)
    for _ in range(arguments.rounds):
        alone = ask()
        before = gateway.cpu_of_threads("passwords")
        with load.SignIns(gateway.plain_port, origin) as people:
            beside = ask()
            share = (gateway.cpu_of_threads("passwords") - before) / arguments.seconds / os.cpu_count()
        if not people.tried:
            raise SystemExit("nobody could try to sign in")
        runs.append({"alone": alone["p99"], "beside": beside["p99"], "share": share,
                     "rate": beside["requests"] / alone["requests"], "sign_ins": people.tried / arguments.seconds})
    got = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    print(f"p99 {got['alone']:.0f} us alone, {got['beside']:.0f} us beside {got['sign_ins']:.0f} sign-ins a second, "
          f"which take {got['share']:.0%} of the processors; {got['rate']:.0%} of the requests")
    return got


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"cores": os.cpu_count(), "processor": model, "kernel": platform.release()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6, help="of load for each turn")
    parser.add_argument("--sessions", type=int, default=1_000_000, help="live in the gateway's table")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--against", nargs="+", choices=["nginx", "nginx auth_request", "haproxy", "caddy"],
                        default=["nginx", "nginx auth_request", "haproxy", "caddy"], help="nginx is always among them")
    parser.add_argument("--write", type=Path, default=Path("target/compare.json"))
    arguments = parser.parse_args()
    if BASE not in arguments.against:
        arguments.against.insert(0, BASE)
    print(machine())
    folder = Path(tempfile.mkdtemp(prefix="compare-"))
    try:
        results = {"machine": machine(), "results": compare(arguments, folder)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    arguments.write.parent.mkdir(parents=True, exist_ok=True)
    arguments.write.write_text(json.dumps(results, indent=2))
    print(f"\n{json.dumps(results['results'].get('gateway'))}\nwritten to {arguments.write}")


if __name__ == "__main__":
    main()
