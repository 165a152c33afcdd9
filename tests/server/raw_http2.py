"""HTTP/2 frames by hand: what no library would send."""

import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0x0, 0x1, 0x2, 0x3, 0x4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0x5, 0x6, 0x7, 0x8, 0x9
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
READ_SECONDS = 10


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header without indexing and without Huffman coding (RFC 7541, 6.2.2); both shorter than 127 bytes."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def grpc_headers(path: bytes, *more: tuple[bytes, bytes]) -> bytes:
    pairs = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"test"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        *more,
    )
    return b"".join(literal(name, value) for name, value in pairs)


def grpc_message(body: bytes, *, compressed: bool = False) -> bytes:
    return struct.pack(">BI", compressed, len(body)) + body


@dataclass(kw_only=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass(kw_only=True)
class Connection:
    """One TCP connection to a server."""

    sock: socket.socket
    unread: bytearray = field(default_factory=bytearray)

    @classmethod
    def to(cls, address: str, *, begin: bool = True) -> "Connection":
        host, _, port = address.rpartition(":")
        made = cls(sock=socket.create_connection((host, int(port)), READ_SECONDS))
        if begin:
            made.send(PREFACE, frame(SETTINGS))
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def read(self) -> Frame | None:
        """The next frame; None when the server closed the connection."""
        while len(self.unread) < 9 or len(self.unread) < 9 + self._length():
            try:
                received = self.sock.recv(1 << 16)
            except ConnectionError:
                return None
            if not received:
                return None
            self.unread += received
        length = self._length()
        kind, flags, stream = struct.unpack(">BBI", self.unread[3:9])
        payload = bytes(self.unread[9 : 9 + length])
        del self.unread[: 9 + length]
        return Frame(kind=kind, flags=flags, stream=stream, payload=payload)

    def _length(self) -> int:
        return int.from_bytes(self.unread[:3], "big")

    def read_until(self, kind: int) -> Frame | None:
        """The next frame of `kind`; None when the server closed before it."""
        deadline = time.monotonic() + READ_SECONDS
        while time.monotonic() < deadline:
            got = self.read()
            if got is None or got.kind == kind:
                return got
        raise AssertionError(f"no frame of kind {kind} in {READ_SECONDS} s")

    def is_closed(self) -> bool:
        """Reads until the server closes."""
        deadline = time.monotonic() + READ_SECONDS
        while time.monotonic() < deadline:
            if self.read() is None:
                return True
        return False


def goaway_code(got: Frame | None) -> int | None:
    return None if got is None else int.from_bytes(got.payload[4:8], "big")
