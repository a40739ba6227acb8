"""The radio between the fleet service and one simulated drone, which can be cut: nothing goes either way, nobody is told.

A relay of TCP. While it is cut both connections stay open and what is sent is lost, as with a radio behind a hill; an end
that finds its connection closed would know at once what it has to find out by silence.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading

CHUNK = 8192
LOOK_S = 0.2


class Radio:
    """Listens on 127.0.0.1 at `port`, speaks to the autopilot at `to_port`. One client at a time. A thread of its own."""

    def __init__(self, port: int, to_port: int) -> None:
        self.lost_bytes = 0
        self._to_port = to_port
        self._cut = threading.Event()
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(LOOK_S)
        self._thread = threading.Thread(target=self._run, name=f"radio {port}", daemon=True)

    def start(self) -> Radio:
        self._thread.start()
        return self

    def cut(self) -> None:
        self._cut.set()

    def mend(self) -> None:
        self._cut.clear()

    @property
    def is_cut(self) -> bool:
        return self._cut.is_set()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._to_port), 2.0) as drone:
                self._relay(client, drone)

    def _relay(self, client: socket.socket, drone: socket.socket) -> None:
        """Until one end leaves, which the other is then told by its own end. Raises OSError."""
        for end in (client, drone):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        other = {client: drone, drone: client}
        while not self._stop.is_set():
            ready, _, _ = select.select([client, drone], [], [], LOOK_S)
            for end in ready:
                data = end.recv(CHUNK)
                if not data:
                    return
                if self._cut.is_set():
                    self.lost_bytes += len(data)
                else:
                    other[end].sendall(data)
