"""A siren on a relay that listens on a serial port: switched on, held for some seconds, switched off again.

The bytes are the relay's own, from the settings; those of the usual one-channel USB relay (LCUS-1: A0, channel, state, and
their sum) are the default. The port is set to 8N1 without flow control, as these relays want it.
"""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import Iterator

from station.notifier import Notice, NotifyError
from station.notifier_settings import SirenSettings
from wire.clock import Clock

TEST_SECONDS = 1.0              # long enough to hear, short enough for a neighbour
_BAUD = {1200: termios.B1200, 2400: termios.B2400, 4800: termios.B4800, 9600: termios.B9600, 19200: termios.B19200,
         38400: termios.B38400, 57600: termios.B57600, 115200: termios.B115200}


class Siren:
    def __init__(self, settings: SirenSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    def tell(self, notice: Notice) -> None:
        """Sound it. Raises NotifyError when the relay cannot be reached, or could not be switched off again."""
        s = self._settings
        with self._port() as port:
            _write(port, bytes.fromhex(s.on))
            try:
                self._clock.sleep(TEST_SECONDS if notice.what == "test" else s.seconds)
            finally:
                _write(port, bytes.fromhex(s.off))

    def check(self) -> None:
        """Whether the relay's port is there and takes "off", which changes nothing. Raises NotifyError."""
        with self._port() as port:
            _write(port, bytes.fromhex(self._settings.off))

    @contextlib.contextmanager
    def _port(self) -> Iterator[int]:
        """The open port, set up. Raises NotifyError for whatever goes wrong with it."""
        s = self._settings
        try:
            port = os.open(s.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise NotifyError(f"{s.port}: {error.strerror}") from None
        try:
            _set_up(port, s.baud)
            yield port
        except (OSError, termios.error) as error:
            raise NotifyError(f"{s.port}: {error}") from None
        finally:
            with contextlib.suppress(OSError):
                os.close(port)


def _set_up(port: int, baud: int) -> None:
    speed = _BAUD.get(baud)
    if speed is None:
        raise NotifyError(f"{baud} baud is not possible; give one of {', '.join(map(str, _BAUD))}")
    attributes = termios.tcgetattr(port)
    attributes[0] = 0                                                   # no translation, no flow control
    attributes[1] = 0
    attributes[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
    attributes[3] = 0
    attributes[4] = attributes[5] = speed
    termios.tcsetattr(port, termios.TCSANOW, attributes)


def _write(port: int, content: bytes) -> None:
    if os.write(port, content) != len(content):
        raise OSError("the relay takes no bytes")
    termios.tcdrain(port)
