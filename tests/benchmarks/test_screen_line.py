"""The line of the screen's benchmark is as wide and as long as it says, for whatever travels over it."""

from __future__ import annotations

import socket
import threading
import time

from benchmarks.screen_line import line_to

MUCH = 2_400_000            # bytes: a picture of 2,000 contacts


def echo(server: socket.socket) -> None:
    """Answers one byte with one byte, and then with much."""
    line, _ = server.accept()
    line.recv(1)
    line.sendall(b".")
    line.recv(1)
    line.sendall(b"." * MUCH)
    line.close()


def test_a_line_delays_each_byte_once_and_lets_so_many_through_a_second():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        end = server.getsockname()[1]
        with line_to("127.0.0.1", end, 12.5e6, 0.02) as port, socket.create_connection(("127.0.0.1", port)) as near:
            began = time.perf_counter()
            near.sendall(b"?")
            assert near.recv(1) == b"."
            there_and_back_s = time.perf_counter() - began
            near.sendall(b"?")
            began, seen = time.perf_counter(), 0
            while data := near.recv(65536):
                seen += len(data)
            took_s = time.perf_counter() - began
    assert there_and_back_s >= 0.04
    assert seen == MUCH
    assert took_s >= MUCH / 12.5e6
    assert took_s < 10 * MUCH / 12.5e6, "pieces do not wait for each other's delay"
