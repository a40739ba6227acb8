"""The demo's own copies of the settings files, with this run's folders, ports and keys filled in."""

from __future__ import annotations

import json
import re
import secrets
import socket
from pathlib import Path

from wire.settings import find_line

QUIET_FROM, QUIET_TO = 20_000, 32_000      # below Linux' ip_local_port_range

Value = str | int | float | bool | list[int]


def free_port() -> int:
    """A TCP port of this machine's loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quiet_ports(count: int) -> list[int]:
    """So many different ports on which nobody listens just now, of those that no client is ever given by the kernel: for
    who needs many, a while before somebody listens on them.
    """
    found: set[int] = set()
    while len(found) < count:
        port = QUIET_FROM + secrets.randbelow(QUIET_TO - QUIET_FROM)
        if is_free(port):
            found.add(port)
    return sorted(found)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def port_of(endpoint: str) -> int:
    """The port of "tcp://HOST:PORT"."""
    return int(endpoint.rpartition(":")[2])


def filled(template: Path, values: dict[tuple[str | int, ...], Value]) -> str:
    """The text of `template` with some values replaced; comments and all else stay.

    values: path of keys -> new value, for example {("inbox", "bind"): "tcp://127.0.0.1:5570"}. A key that the template
    does not have is an error of ours (KeyError): the demo and its templates have drifted apart.
    """
    lines = template.read_text(encoding="utf-8").splitlines()
    for keys, value in values.items():
        number = find_line("\n".join(lines), list(keys))
        pattern = rf"^\s*{re.escape(str(keys[-1]))}\s*="
        if not re.match(pattern, lines[number - 1]):
            raise KeyError(f"{template}: has no {'.'.join(map(str, keys))}")
        lines[number - 1] = f"{keys[-1]} = {_toml(value)}"
    return "\n".join(lines) + "\n"


def _toml(value: Value) -> str:
    # A JSON string is a valid TOML basic string, and so are its numbers and booleans.
    return json.dumps(value, ensure_ascii=False)
