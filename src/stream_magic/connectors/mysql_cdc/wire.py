"""The connection of a replica: asks for the log and cuts the stream into events.

PyMySQL logs in; from the dump command on we read its socket ourselves, because a timeout must not
lose half a packet, a lost server must be an error at once (not a silent new connection), and large
reads are cheap. A server that sends nothing, not even the heartbeats that we ask for, is lost.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
import zlib
from dataclasses import dataclass
from typing import Any

from stream_magic.connectors.mysql_cdc.position import LogPosition, encode_mysql_gtids
from stream_magic.errors import ConnectorError

COM_BINLOG_DUMP, COM_BINLOG_DUMP_GTID = 0x12, 0x1E
THROUGH_GTID = 0x04
CHUNK = 1 << 18
WHOLE_PACKET = 0xFFFFFF
LOST_AFTER_HEARTBEATS = 4

ROTATE, FORMAT_DESCRIPTION, HEARTBEAT, HEARTBEAT_V2 = 4, 15, 27, 41
HEADER = struct.Struct("<IBIIIH")
POSITION_GONE = frozenset({1236, 1220})


@dataclass(frozen=True)
class RawEvent:
    """One event of the log.

    Attributes:
        timestamp: seconds since the Unix epoch.
        type: number of the event's type.
        server_id: of the server where it was first logged.
        size: bytes in the log, with header and checksum.
        end: offset behind it in its file; 0 for events that the server makes up.
        flags: of the header.
        body: without header and checksum.
    """

    timestamp: int
    type: int
    server_id: int
    size: int
    end: int
    flags: int
    body: bytes


class ReplicaStream:
    """Events from a position on, one after the other.

    Args:
        connection: a PyMySQL connection, ours from here on.
        position: after which to go on.
        server_id: that we show; two replicas with one id throw each other out.
        heartbeat_s: how often a server without news shall say that it is there.
    """

    def __init__(
        self, connection: Any, position: LogPosition, server_id: int, heartbeat_s: float
    ) -> None:
        self._connection = connection
        self._silence_s = heartbeat_s * LOST_AFTER_HEARTBEATS
        has_checksums = self._set_up(position, heartbeat_s)
        self._framing = Framing(has_checksums=has_checksums)
        self._socket: socket.socket = connection._sock  # noqa: SLF001 - PyMySQL has no replica API
        self._ask(position, server_id)
        self._heard_at = time.monotonic()

    def next(self, timeout_s: float) -> RawEvent | None:
        """The next event (no heartbeats), or None if none came in time.

        Raises:
            ConnectorError: the server is lost (transient), or refuses.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            event = self._framing.next()
            if event is not None:
                if event.type in (HEARTBEAT, HEARTBEAT_V2):
                    continue
                return event
            if not self._receive(max(0.0, deadline - time.monotonic())):
                if time.monotonic() - self._heard_at > self._silence_s:
                    raise _lost("it has been silent for longer than four heartbeats")
                if time.monotonic() >= deadline:
                    return None

    def close(self) -> None:
        """May be called twice."""
        self._connection._force_close()  # noqa: SLF001 - `close` would send COM_QUIT and wait

    def _receive(self, timeout_s: float) -> bool:
        try:
            self._socket.settimeout(timeout_s)
            data = self._socket.recv(CHUNK)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return False
        except (OSError, ValueError) as error:
            raise _lost(str(error)) from None
        if not data:
            raise _lost("it has closed the connection")
        self._heard_at = time.monotonic()
        self._framing.feed(data)
        return True

    def _set_up(self, position: LogPosition, heartbeat_s: float) -> bool:
        """Session variables that a replica sets; says whether events carry checksums."""
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL VARIABLES LIKE 'binlog_checksum'")
            row = cursor.fetchone()
            has_checksums = row is not None and row[1].upper() != "NONE"
            cursor.execute("SET @master_binlog_checksum = %s", (row[1] if row else "NONE",))
            cursor.execute("SET @source_binlog_checksum = @master_binlog_checksum")
            period = int(heartbeat_s * 1e9)
            cursor.execute(
                "SET @master_heartbeat_period = %s, @source_heartbeat_period = %s", (period, period)
            )
            if position.flavour == "mariadb":
                # 4: the server may send GTID events as they are.
                cursor.execute("SET @mariadb_slave_capability = 4")
                if position.gtid is not None:
                    cursor.execute("SET @slave_connect_state = %s", (position.gtid,))
                    cursor.execute("SET @slave_gtid_strict_mode = 1")
                    cursor.execute("SET @slave_gtid_ignore_duplicates = 0")
        return has_checksums

    def _ask(self, position: LogPosition, server_id: int) -> None:
        command = dump_command(position, server_id)
        connection = self._connection
        connection._write_bytes(struct.pack("<I", len(command)) + command)  # noqa: SLF001


def dump_command(position: LogPosition, server_id: int) -> bytes:
    """The command that starts the stream; a server without news keeps the connection open."""
    if position.gtid is not None and position.flavour == "mysql":
        gtids = encode_mysql_gtids(position.gtid)
        head = struct.pack("<BHII", COM_BINLOG_DUMP_GTID, THROUGH_GTID, server_id, 0)
        return head + struct.pack("<QI", 4, len(gtids)) + gtids
    # MariaDB finds file and offset from @slave_connect_state; they must then be empty.
    by_gtid = position.gtid is not None
    file, offset = (b"", 4) if by_gtid else (position.file.encode(), position.pos)
    return struct.pack("<BIHI", COM_BINLOG_DUMP, offset, 0, server_id) + file


class Framing:
    """Bytes in, events out: packets are joined, checksums verified and taken off."""

    def __init__(self, *, has_checksums: bool) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._parts: list[bytes] = []
        self._has_checksums = has_checksums

    def feed(self, data: bytes) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> RawEvent | None:
        """The next whole event, or None."""
        while True:
            at = self._at
            if len(self._buffer) - at < 4:
                return None
            length = int.from_bytes(self._buffer[at : at + 3], "little")
            if len(self._buffer) - at - 4 < length:
                return None
            part = bytes(memoryview(self._buffer)[at + 4 : at + 4 + length])
            self._at = at + 4 + length
            if length == WHOLE_PACKET:
                self._parts.append(part)
            elif self._parts:
                packet, self._parts = b"".join([*self._parts, part]), []
                return self._event(packet)
            else:
                return self._event(part)

    def _event(self, packet: bytes) -> RawEvent:
        if packet[0] == 0xFF:
            raise refusal(packet)
        if packet[0] == 0xFE and len(packet) < 9:
            raise _lost("it has ended the log")
        timestamp, kind, server_id, size, end, flags = HEADER.unpack_from(packet, 1)
        body = packet[20:]
        if kind == FORMAT_DESCRIPTION:
            # The byte before its own checksum says whether the events of this file have one.
            self._has_checksums = body[-5] == 1
            body = body[:-4]
        elif self._has_checksums:
            whole, checksum = packet[1:-4], int.from_bytes(packet[-4:], "little")
            if zlib.crc32(whole) == checksum:
                body = body[:-4]
            elif kind != ROTATE:  # a made-up rotation may come without, whatever the file says
                raise ConnectorError(
                    "SM4109",
                    f"the binary log is damaged: wrong checksum of the event that ends at {end}",
                    hint="check the server's disk; then start with snapshot = 'initial'",
                )
        return RawEvent(timestamp, kind, server_id, size, end, flags, body)


def refusal(packet: bytes) -> ConnectorError:
    """The server's error packet in our words."""
    code = int.from_bytes(packet[1:3], "little")
    text = packet[3:].decode("utf-8", errors="replace")
    text = text[6:] if text.startswith("#") else text
    if code in POSITION_GONE:
        return ConnectorError(
            "SM4106",
            f"the server cannot go on where this source stopped: {text}",
            hint="the log was purged or reset: DROP this source and create it again with"
            " snapshot = 'initial'; keep logs longer with SET GLOBAL binlog_expire_logs_seconds",
        )
    return ConnectorError(
        "SM4110",
        f"the server refuses to send its log: {text} ({code})",
        hint="see the server's log, and %stream status",
        transient=code not in (1227, 1045, 1044),
    )


def _lost(why: str) -> ConnectorError:
    return ConnectorError("SM4107", f"the connection to the server is lost: {why}", transient=True)
