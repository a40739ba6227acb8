"""A conversation with gpsd, one question a poll, that ends in time whatever the daemon does.

gpsd-py3 (0.3.0) reads what a POLL says. Its `connect` and `get_current` are not used: they keep one socket in the module's
globals and wait on it without limit, so that a daemon that says nothing holds them for ever. What its reader stumbles over
or makes up is refused here before it is asked:

- empty lists of TPV or SKY (IndexError), as before the first sentence of a receiver;
- lines that are no JSON (JSONDecodeError), as when the daemon dies in mid-line;
- a fix without latitude or longitude (it gives 0.0), or without error estimates (it gives 0 m);
- a fix that is old: gpsd repeats the last one for as long as it runs. `measured_ns` says of when it is, and whoever asks
  sees that it does not move on.
"""

from __future__ import annotations

import json
import math
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import gpsd

from wire.clock import NS_PER_S, Clock
from wire.node_words import NodeText, node_text

CONNECT_S = 3.0
ANSWER_S = 3.0                  # gpsd answers from memory, in milliseconds
LINE_LIMIT_BYTES = 64 * 1024    # a POLL with every satellite of four systems is about 15 KiB
READ_BYTES = 4096
FIX_2D = 2                      # gpsd's TPV.mode; 3 is with height
ERROR_UNKNOWN_M = 50.0          # where a receiver states none: three times what gpsd states for a fair sky (HDOP 1: 19 m)

_WATCH = b'?WATCH={"enable":true,"json":false}\n'
_POLL = b"?POLL;\n"


class GpsdError(ValueError):
    """gpsd cannot be asked, or answers what it never should. The text says what is wrong and what to do."""

    def __init__(self, text: NodeText) -> None:
        super().__init__(str(text))
        self.text = text


@dataclass(frozen=True, slots=True)
class Fix:
    """Where a receiver says that it is. WGS 84, degrees. error_m: 95 % of the horizontal error, metres, as gpsd has it.

    measured_ns: UTC by the receiver.
    """

    lat_deg: float
    lon_deg: float
    error_m: float
    measured_ns: int


@dataclass(frozen=True, slots=True)
class NoFix:
    """gpsd answers, and nobody knows where we are."""

    reason: NodeText


class GpsdLink:
    """One connection to gpsd. Raises GpsdError when none can be made; every call ends within a few seconds."""

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self._place = f"gpsd at {host}:{port}"
        self._clock = clock
        self._rest = b""
        try:
            self._socket = socket.create_connection((host, port), CONNECT_S)
        except OSError as error:
            why = error.strerror or str(error)
            raise GpsdError(node_text("gpsd_unreached", gpsd=self._place, error=why)) from None
        try:
            if self._answer("VERSION").get("proto_major") != 3:
                raise GpsdError(node_text("gpsd_protocol", gpsd=self._place))
            self._say(_WATCH)
        except GpsdError:
            self.close()
            raise

    def poll(self) -> Fix | NoFix:
        """What gpsd knows now. Raises GpsdError."""
        self._say(_POLL)
        return read_poll(self._answer("POLL"))

    def close(self) -> None:
        self._socket.close()

    def _say(self, line: bytes) -> None:
        try:
            self._socket.settimeout(ANSWER_S)
            self._socket.sendall(line)
        except OSError as error:
            raise GpsdError(node_text("gpsd_gone", gpsd=self._place, error=error.strerror or str(error))) from None

    def _answer(self, kind: str) -> dict[str, Any]:
        """The next object of that class. Others are passed over: gpsd speaks unasked when a receiver comes or goes."""
        until_ns = self._clock.monotonic_ns() + round(ANSWER_S * NS_PER_S)
        while True:
            line = self._line(until_ns)
            try:
                said = json.loads(line)
            except (ValueError, RecursionError):
                raise GpsdError(node_text("gpsd_not_json", gpsd=self._place, line=repr(line[:60]))) from None
            if not isinstance(said, dict):
                raise GpsdError(node_text("gpsd_no_object", gpsd=self._place, line=repr(line[:60])))
            if said.get("class") == kind:
                return said
            if said.get("class") == "ERROR":
                why = str(said["message"]) if "message" in said else node_text("gpsd_no_reason")
                raise GpsdError(node_text("gpsd_refuses", gpsd=self._place, error=why))

    def _line(self, until_ns: int) -> bytes:
        """One line. The deadline holds for all of it: a daemon that drips bytes is as bad as one that is silent."""
        while b"\n" not in self._rest:
            left_s = (until_ns - self._clock.monotonic_ns()) / NS_PER_S
            if left_s <= 0:
                raise GpsdError(node_text("gpsd_hangs", gpsd=self._place, seconds=round(ANSWER_S)))
            if len(self._rest) > LINE_LIMIT_BYTES:
                raise GpsdError(node_text("gpsd_endless", gpsd=self._place))
            try:
                self._socket.settimeout(left_s)
                data = self._socket.recv(READ_BYTES)
            except TimeoutError:
                continue
            except OSError as error:
                raise GpsdError(node_text("gpsd_gone", gpsd=self._place, error=error.strerror or str(error))) from None
            if not data:
                raise GpsdError(node_text("gpsd_broke_off" if self._rest else "gpsd_closed", gpsd=self._place))
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line


def read_poll(packet: dict[str, Any]) -> Fix | NoFix:
    """A POLL object of gpsd as a fix, or why it holds none. Never raises, whatever the packet says."""
    try:
        if not packet.get("active"):
            return NoFix(node_text("no_receiver"))
        best = _newest(packet.get("tpv"))
        if best is None:
            return NoFix(node_text("receiver_silent"))
        skies = packet.get("sky") or [{}]
        response = gpsd.GpsResponse.from_json({"active": 1, "tpv": [best], "sky": skies})
        if response.mode < FIX_2D:
            return NoFix(node_text("no_fix"))
        if not {"lat", "lon", "time"} <= best.keys():
            return NoFix(node_text("fix_without_place"))
        lat_deg, lon_deg = (float(v) for v in response.position())
        if not (-90.0 <= lat_deg <= 90.0 and -180.0 <= lon_deg <= 180.0):
            return NoFix(node_text("fix_off_earth", lat=str(lat_deg), lon=str(lon_deg)))
        return Fix(lat_deg, lon_deg, _error_m(best, response), _utc_ns(response.time))
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, UserWarning) as error:
        return NoFix(node_text("gpsd_senseless", error=str(error)))


def _newest(reports: object) -> dict[str, Any] | None:
    """Of several receivers the one that has a fix, and of those the newest."""
    if not isinstance(reports, list):
        return None
    known = [r for r in reports if isinstance(r, dict) and isinstance(r.get("mode"), int)]
    return max(known, key=lambda r: (r["mode"] >= FIX_2D, str(r.get("time", ""))), default=None)


def _error_m(report: dict[str, Any], response: gpsd.GpsResponse) -> float:
    """Horizontal, 95 %. gpsd leaves any of them out when it cannot compute it."""
    if {"epx", "epy"} <= report.keys():
        error_m = float(response.position_precision()[0])
    else:
        error_m = float(report.get("eph", 0.0))
    return error_m if math.isfinite(error_m) and error_m > 0 else ERROR_UNKNOWN_M


def _utc_ns(text: str) -> int:
    """gpsd-py3's own get_time insists on a fraction of a second, which receivers may leave out."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000) * 1_000_000
