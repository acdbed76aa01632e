"""What RFC 9113 and RFC 8441 ask of a server, put to a running gateway frame by frame.

Run with the port, the session's token, and the process to end at the last check. Prints a line for
each check; ends with 1 when one of them failed.
"""

import os
import signal
import socket
import ssl
import struct
import sys
import time
import traceback

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PORT, TOKEN, PROCESS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
SOON = 20.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

NO_ERROR, PROTOCOL, FLOW, CLOSED, REFUSED, CALM = 0, 1, 3, 5, 7, 11
# FRAME_SIZE_ERROR and COMPRESSION_ERROR; a server may say the general PROTOCOL_ERROR instead (7).
SIZE, COMPRESSION = (6, PROTOCOL), (9, PROTOCOL)

CHECKS = []


def check(section):
    """Registers a check under the section of RFC 9113 that asks for it."""

    def register(test):
        CHECKS.append((section, test))
        return test

    return register


class Connection:
    """One connection over TLS on which frames are sent as they are."""

    def __init__(self, preface=PREFACE, settings=None, greet=True):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", PORT), timeout=SOON)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        assert self.socket.selected_alpn_protocol() == "h2"
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer, self.frames, self.ended = b"", [], False
        self.settings = {}
        if greet:
            self.socket.sendall(preface)
            self.send(SettingsFrame(0, settings=settings or {}))
            first = self.until(lambda frame: isinstance(frame, SettingsFrame))
            self.settings = first.settings
            self.send(SettingsFrame(0, flags=["ACK"]))

    def send(self, *frames):
        self.raw(b"".join(frame.serialize() for frame in frames))

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.ended = True

    def frame(self):
        """The next frame; None at the end of the connection."""
        while True:
            if len(self.buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) >= 9 + length:
                    frame.parse_body(memoryview(self.buffer[9 : 9 + length]))
                    self.buffer = self.buffer[9 + length :]
                    if isinstance(frame, HeadersFrame):
                        frame.fields = dict(self.decoder.decode(frame.data))
                    return frame
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                self.ended = True
                return None
            self.buffer += data

    def until(self, wanted):
        """The first frame that is wanted; what comes before it is left out."""
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            frame = self.frame()
            assert frame is not None, "the connection ended"
            if wanted(frame):
                return frame
        raise AssertionError("not in time")

    def head(self, stream, fields=(), end=True, method="GET", path="/echo", cookie=True):
        pseudo = [
            (":method", method),
            (":scheme", "https"),
            (":authority", f"localhost:{PORT}"),
            (":path", path),
        ]
        if cookie:
            fields = [*fields, ("cookie", f"__Host-Http-portcullis={TOKEN}")]
        return self.block(stream, [*pseudo, *fields], end)

    def block(self, stream, fields, end=True):
        frame = HeadersFrame(stream, data=self.encoder.encode(fields))
        frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def answer(self, stream):
        """The status of a stream's answer."""
        is_it = lambda f: f.stream_id == stream and isinstance(f, (HeadersFrame, RstStreamFrame))
        frame = self.until(is_it)
        assert isinstance(frame, HeadersFrame), f"reset with {frame.error_code}"
        return int(frame.fields[":status"])

    def lives(self, stream=101):
        self.send(self.head(stream))
        assert self.answer(stream) == 200

    def dies(self, *codes):
        """The connection ends, with one of these codes where it says why."""
        while True:
            frame = self.frame()
            if frame is None:
                return
            if isinstance(frame, GoAwayFrame):
                assert frame.error_code in codes, f"GOAWAY {frame.error_code} instead of {codes}"

    def refuses(self, stream, *codes):
        """The stream is reset with one of these codes, or the connection ends with it, or the
        request is answered with 400; it is never carried out."""
        while True:
            frame = self.frame()
            if frame is None:
                return
            if isinstance(frame, GoAwayFrame):
                assert frame.error_code in codes, f"GOAWAY {frame.error_code} instead of {codes}"
                return
            if isinstance(frame, RstStreamFrame) and frame.stream_id == stream:
                assert frame.error_code in codes, f"reset {frame.error_code} instead of {codes}"
                return
            if isinstance(frame, HeadersFrame) and frame.stream_id == stream:
                assert frame.fields[":status"] == "400", frame.fields
                return


def raw_frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


# ---- starting


@check("3.4")
def the_server_speaks_first_and_acknowledges():
    c = Connection()
    c.until(lambda f: isinstance(f, SettingsFrame) and "ACK" in f.flags)
    c.lives()


@check("3.4")
def a_wrong_preface_ends_the_connection():
    c = Connection(greet=False)
    c.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    c.dies(PROTOCOL)


@check("5.1.2")
def streams_are_limited_to_what_was_announced():
    c = Connection()
    limit = c.settings[SettingsFrame.MAX_CONCURRENT_STREAMS]
    assert limit <= 128, limit
    streams = [1 + 2 * i for i in range(limit + 1)]
    c.send(*[c.head(s, path="/poll") for s in streams])
    reset = c.until(lambda f: isinstance(f, RstStreamFrame))
    assert (reset.stream_id, reset.error_code) == (streams[-1], REFUSED)
    c.send(*[RstStreamFrame(s, error_code=8) for s in streams[:-1]])
    c.lives(streams[-1] + 2)


@check("6.5.2")
def the_list_of_fields_is_limited():
    c = Connection()
    assert c.settings[SettingsFrame.MAX_HEADER_LIST_SIZE] <= 65536
    large = [(f"x-{i}", "v" * 8000) for i in range(12)]
    encoded = c.encoder.encode(
        [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/echo")] + large
    )
    parts = [encoded[i : i + 16000] for i in range(0, len(encoded), 16000)]
    first = HeadersFrame(1, data=parts[0])
    first.flags.add("END_STREAM")
    rest = [ContinuationFrame(1, data=part) for part in parts[1:]]
    rest[-1].flags.add("END_HEADERS")
    c.send(first, *rest)
    frame = c.frame()
    while frame and not isinstance(frame, (HeadersFrame, RstStreamFrame, GoAwayFrame)):
        frame = c.frame()
    if isinstance(frame, HeadersFrame):
        assert frame.fields[":status"] == "431", frame.fields


# ---- frames


@check("4.2")
def a_frame_above_the_limit_is_an_error():
    c = Connection()
    c.send(c.head(1, method="POST", end=False))
    c.raw(raw_frame(0, 0, 1, b"x" * 16385))
    c.dies(*SIZE)


@check("4.1")
def unknown_frames_are_ignored():
    c = Connection()
    c.raw(raw_frame(0xEE, 0, 0, b"what is this"))
    c.lives()


@check("4.3")
def a_broken_field_block_is_an_error_of_compression():
    c = Connection()
    c.raw(raw_frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff"))
    c.dies(*COMPRESSION)


@check("4.3")
def nothing_comes_between_the_parts_of_a_field_block():
    c = Connection()
    head = HeadersFrame(1, data=c.encoder.encode([(":method", "GET")]))
    c.send(head, PingFrame(0, opaque_data=b"12345678"))
    c.dies(PROTOCOL)


@check("6.10")
def continuation_follows_headers_alone():
    c = Connection()
    c.send(ContinuationFrame(1, data=b"", flags=["END_HEADERS"]))
    c.dies(PROTOCOL)


@check("6.10")
def continuations_without_end_are_cut_off():
    c = Connection()
    head = HeadersFrame(1, data=c.encoder.encode([(":method", "GET")]))
    c.send(head)
    for _ in range(100_000):
        if c.ended:
            break
        c.send(*[ContinuationFrame(1, data=b"") for _ in range(10)])
    assert c.ended, "a million of them were taken"


@check("6.1")
def data_belongs_to_an_open_stream():
    for stream, codes in [(0, (PROTOCOL,)), (5, (PROTOCOL, CLOSED))]:
        c = Connection()
        c.raw(raw_frame(0, 0, stream, b"x"))
        c.dies(*codes)


@check("6.1")
def padding_is_no_longer_than_its_frame():
    c = Connection()
    c.send(c.head(1, method="POST", end=False))
    c.raw(raw_frame(0, 8, 1, b"\x09abc"))
    c.dies(PROTOCOL)


@check("6.4")
def what_is_idle_cant_be_reset():
    c = Connection()
    c.send(RstStreamFrame(9, error_code=8))
    c.dies(PROTOCOL)


@check("6.4")
def a_reset_has_four_bytes():
    c = Connection()
    c.send(c.head(1, path="/poll"))
    c.raw(raw_frame(3, 0, 1, b"\0\0"))
    c.dies(*SIZE)


@check("6.5")
def settings_have_their_form():
    wrong = [
        (raw_frame(4, 1, 0, b"\0\0\0\0\0\0"), SIZE),
        (raw_frame(4, 0, 0, b"\0\0\0"), SIZE),
        (raw_frame(4, 0, 1, b""), (PROTOCOL,)),
        (raw_frame(4, 0, 0, struct.pack(">HI", 4, 2**31)), (FLOW, PROTOCOL)),
        (raw_frame(4, 0, 0, struct.pack(">HI", 5, 16383)), (PROTOCOL,)),
        (raw_frame(4, 0, 0, struct.pack(">HI", 5, 2**24)), (PROTOCOL,)),
        (raw_frame(4, 0, 0, struct.pack(">HI", 2, 2)), (PROTOCOL,)),
    ]
    for data, codes in wrong:
        c = Connection()
        c.raw(data)
        c.dies(*codes)
    c = Connection()
    c.raw(raw_frame(4, 0, 0, struct.pack(">HI", 0xAB, 7)))
    c.lives()


@check("6.7")
def pings_come_back():
    c = Connection()
    c.send(PingFrame(0, opaque_data=b"12345678"))
    pong = c.until(lambda f: isinstance(f, PingFrame))
    assert pong.opaque_data == b"12345678" and "ACK" in pong.flags
    for data, codes in [(raw_frame(6, 0, 0, b"1234"), SIZE), (raw_frame(6, 0, 3, b"12345678"), (PROTOCOL,))]:
        c = Connection()
        c.raw(data)
        c.dies(*codes)


@check("6.8")
def goaway_is_for_the_connection():
    c = Connection()
    c.raw(raw_frame(7, 0, 3, b"\0" * 8))
    c.dies(PROTOCOL)


# ---- streams


@check("5.1.1")
def clients_use_odd_numbers_that_rise():
    c = Connection()
    c.send(c.head(2))
    c.dies(PROTOCOL)
    c = Connection()
    c.send(c.head(7), c.head(5))
    c.dies(PROTOCOL, CLOSED)


@check("5.3.1")
def a_stream_that_depends_on_itself_harms_nobody():
    c = Connection()
    c.send(PriorityFrame(1, depends_on=1, stream_weight=1))
    frame = c.head(3)
    c.send(frame)
    while True:
        answer = c.frame()
        if answer is None or isinstance(answer, GoAwayFrame):
            return
        if isinstance(answer, HeadersFrame):
            assert answer.fields[":status"] == "200"
            return


@check("5.1")
def nothing_follows_the_end_of_a_stream():
    c = Connection()
    c.send(c.head(1, path="/poll"))
    c.raw(raw_frame(0, 0, 1, b"x"))
    c.refuses(1, CLOSED, PROTOCOL)


# ---- requests


@check("8.2, 8.3")
def requests_have_their_form():
    pseudo = {
        ":method": "GET",
        ":scheme": "https",
        ":authority": f"localhost:{PORT}",
        ":path": "/echo",
    }
    whole = list(pseudo.items())
    cookie = ("cookie", f"__Host-Http-portcullis={TOKEN}")
    wrong = [[p for p in whole if p[0] != name] for name in (":method", ":path", ":scheme")]
    wrong += [
        whole + [("connection", "close")],
        whole + [("transfer-encoding", "chunked")],
        whole + [("keep-alive", "1")],
        whole + [("proxy-connection", "1")],
        whole + [("upgrade", "websocket")],
        whole + [("te", "gzip")],
        whole + [(":path", "/other")],
        whole + [(":status", "200")],
        whole + [(":strange", "1")],
        [("x-first", "1")] + whole,
        [p if p[0] != ":path" else (":path", "") for p in whole],
        whole + [("x-a", "b\r\nx-c: d")],
        whole + [("x-a", "b\0")],
        whole + [("x a", "b")],
        whole + [("X-Upper", "b")],
    ]
    for fields in wrong:
        c = Connection()
        c.send(c.block(1, fields + [cookie]))
        c.refuses(1, PROTOCOL)


@check("8.1.1")
def bodies_are_as_long_as_announced():
    for length, body in [("3", b"four"), ("5", b"four")]:
        c = Connection()
        head = c.head(1, [("content-length", length)], end=False, method="POST", path="/sink")
        c.send(head, DataFrame(1, data=body, flags=["END_STREAM"]))
        frame = c.frame()
        while frame and not (frame.stream_id == 1 or isinstance(frame, GoAwayFrame)):
            frame = c.frame()
        if isinstance(frame, HeadersFrame):
            assert frame.fields[":status"] in ("400", "502"), frame.fields


# ---- flow control


@check("6.9")
def nothing_is_sent_beyond_the_window():
    c = Connection(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    c.send(c.head(1, path="/blob?bytes=50000"))
    assert c.answer(1) == 200
    c.send(PingFrame(0, opaque_data=b"anything"))
    seen = c.until(lambda f: isinstance(f, (DataFrame, PingFrame)))
    assert isinstance(seen, PingFrame), "data without a window"
    got = 0
    for grant in (1, 999, 20_000, 40_000):
        c.send(WindowUpdateFrame(1, window_increment=grant))
        allowed = min(got + grant, 50_000)
        while got < allowed:
            data = c.until(lambda f: isinstance(f, DataFrame))
            got += len(data.data)
            assert got <= allowed, f"{got} bytes into a window of {allowed}"
    assert got == 50_000


@check("6.9.2")
def a_window_that_shrinks_below_nothing_is_waited_for():
    c = Connection(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1000})
    c.send(c.head(1, path="/blob?bytes=5000"))
    got = 0
    while got < 1000:
        got += len(c.until(lambda f: isinstance(f, DataFrame)).data)
    c.send(SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 100}))
    c.send(WindowUpdateFrame(1, window_increment=900), PingFrame(0, opaque_data=b"anything"))
    seen = c.until(lambda f: isinstance(f, (DataFrame, PingFrame)))
    assert isinstance(seen, PingFrame), "the window was at nothing"
    c.send(WindowUpdateFrame(1, window_increment=4000))
    while got < 5000:
        got += len(c.until(lambda f: isinstance(f, DataFrame)).data)
    assert got == 5000


@check("6.9")
def windows_have_their_form():
    c = Connection()
    c.raw(raw_frame(8, 0, 0, struct.pack(">I", 0)))
    c.dies(PROTOCOL)
    c = Connection()
    c.raw(raw_frame(8, 0, 0, b"\0\0"))
    c.dies(*SIZE)
    c = Connection()
    c.send(WindowUpdateFrame(0, window_increment=2**31 - 1), WindowUpdateFrame(0, window_increment=2**31 - 1))
    c.dies(FLOW)
    c = Connection()
    c.send(c.head(1, path="/poll"))
    c.send(WindowUpdateFrame(1, window_increment=2**31 - 1), WindowUpdateFrame(1, window_increment=2**31 - 1))
    c.refuses(1, FLOW)
    c = Connection()
    c.send(WindowUpdateFrame(9, window_increment=1))
    c.dies(PROTOCOL)


@check("6.9.1")
def what_is_sent_beyond_the_servers_window_is_refused():
    c = Connection()
    c.send(c.head(1, method="POST", path="/slow-read", end=False))
    deadline = time.monotonic() + SOON
    c.socket.settimeout(0.2)
    while not c.ended and time.monotonic() < deadline:
        try:
            c.raw(raw_frame(0, 0, 1, b"x" * 16384) * 8)
        except TimeoutError:
            pass
        try:
            data = c.socket.recv(65536)
        except TimeoutError:
            continue
        except (ConnectionError, ssl.SSLError):
            data = b""
        c.ended |= not data
        c.buffer += data
        if raw_frame(3, 0, 1, struct.pack(">I", FLOW)) in c.buffer:
            return
    assert c.ended, "bytes without end were taken"


# ---- resets


@check("5.4.2")
def a_reset_ends_one_stream_and_no_other():
    c = Connection()
    c.send(c.head(1, path="/events"), c.head(3, path="/blob?bytes=30000"))
    c.send(RstStreamFrame(1, error_code=8))
    got = 0
    while got < 30_000:
        got += len(c.until(lambda f: isinstance(f, DataFrame) and f.stream_id == 3).data)
    c.lives(5)


@check("5.4.1 (rapid reset, CVE-2023-44487)")
def resets_without_end_are_cut_off():
    c = Connection()
    for batch in range(200):
        if c.ended:
            break
        streams = [1 + 2 * (batch * 50 + i) for i in range(50)]
        for stream in streams:
            c.send(c.head(stream, path="/poll"), RstStreamFrame(stream, error_code=8))
    # Ten thousand at most; whoever comes next is served in any case.
    Connection().lives(1)


@check("5.4.1 (made you reset, CVE-2025-8671)")
def resets_that_the_server_is_made_to_send_are_cut_off():
    c = Connection()
    for i in range(4000):
        if c.ended:
            break
        stream = 1 + 2 * i
        c.send(c.head(stream, path="/poll"), WindowUpdateFrame(stream, window_increment=2**31 - 1))
        c.send(WindowUpdateFrame(stream, window_increment=2**31 - 1))
    c.dies(CALM, FLOW, PROTOCOL)
    Connection().lives(1)


@check("10.5")
def floods_of_empty_frames_leave_the_others_alone():
    flood, other = Connection(), Connection()
    flood.send(flood.head(1, method="POST", path="/slow-read", end=False))
    flood.socket.settimeout(0.5)
    kinds = [
        PingFrame(0, opaque_data=b"12345678").serialize(),
        SettingsFrame(0).serialize(),
        raw_frame(0, 0, 1, b""),
        raw_frame(2, 0, 1, struct.pack(">IB", 0, 1)),
    ]
    for kind in kinds:
        for _ in range(20):
            try:
                flood.raw(kind * 500)
            except TimeoutError:
                break
    other.lives()


# ---- RFC 8441


def connect(c, stream, protocol="websocket", cookie=True, origin=None):
    fields = [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "https"),
        (":authority", f"localhost:{PORT}"),
        (":path", "/ws"),
        ("sec-websocket-version", "13"),
        ("origin", origin or f"https://localhost:{PORT}"),
    ]
    if cookie:
        fields.append(("cookie", f"__Host-Http-portcullis={TOKEN}"))
    c.send(c.block(stream, fields, end=False))


@check("RFC 8441, 3 to 5")
def a_websocket_is_a_stream():
    c = Connection()
    assert c.settings[SettingsFrame.ENABLE_CONNECT_PROTOCOL] == 1
    connect(c, 1)
    assert c.answer(1) == 200
    text = b"are you there"
    masked = bytes(byte ^ mask for byte, mask in zip(text, b"\1\2\3\4" * 4))
    c.send(DataFrame(1, data=bytes([0x81, 0x80 | len(text)]) + b"\1\2\3\4" + masked))
    heard = b""
    while text not in heard:
        heard += c.until(lambda f: isinstance(f, DataFrame) and f.stream_id == 1).data
    c.lives(3)
    c.send(RstStreamFrame(1, error_code=8))
    c.lives(5)


@check("RFC 8441, 4")
def a_tunnel_needs_a_session_an_origin_and_a_protocol():
    c = Connection()
    connect(c, 1, cookie=False)
    assert c.answer(1) == 401
    connect(c, 3, origin="https://evil.example")
    assert c.answer(3) == 403
    connect(c, 5, protocol="connect-udp")
    assert c.answer(5) in (400, 501)
    fields = [(":method", "CONNECT"), (":authority", f"localhost:{PORT}"), ("cookie", f"__Host-Http-portcullis={TOKEN}")]
    c.send(c.block(7, fields, end=False))
    assert c.answer(7) in (400, 405, 501)


# ---- the end, last because nothing is served after it


@check("6.8")
def going_away_lets_what_runs_finish():
    c = Connection(settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1000})
    c.send(c.head(1, path="/blob?bytes=5000"))
    assert c.answer(1) == 200
    os.kill(PROCESS, signal.SIGTERM)
    got = 0
    goaway = None
    while goaway is None:
        frame = c.frame()
        assert frame is not None, "no word of farewell"
        if isinstance(frame, DataFrame):
            got += len(frame.data)
        if isinstance(frame, GoAwayFrame):
            goaway = frame
    assert goaway.error_code == NO_ERROR
    c.send(WindowUpdateFrame(1, window_increment=10_000))
    while got < 5000:
        frame = c.frame()
        assert frame is not None, f"ended after {got} bytes"
        if isinstance(frame, DataFrame):
            got += len(frame.data)
    c.dies(NO_ERROR)


def main():
    failed = 0
    for section, test in CHECKS:
        name = test.__name__.replace("_", " ")
        try:
            test()
            print(f"ok    {section}: {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL  {section}: {name}\n{traceback.format_exc()}", flush=True)
    sys.exit(1 if failed else 0)


main()
