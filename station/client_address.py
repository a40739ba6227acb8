"""Finds the address of the client behind a request, for throttling logins, and checks `web.trusted_proxies`.

A forwarded header is believed only if the TCP peer is a trusted proxy, because any client can send such a header.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wire.settings import refuse

if TYPE_CHECKING:               # every process reads the settings, and only the web server loads the web framework
    from starlette.requests import HTTPConnection

CONSOLE = "console"             # stored in place of an address; no client can forge it, because it is not an address
_SIGNS_OF_A_PROXY = ("x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host", "x-forwarded-proto", "via")
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*"?([^";]+)"?', re.IGNORECASE)
_WITH_PORT = re.compile(r"^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$")


@dataclass(frozen=True, slots=True)
class Client:
    """Who sent a request. address: an IP address, or CONSOLE. at_console: a direct loopback connection."""

    address: str
    at_console: bool = False


def check_trusted_proxies(path: Path, proxies: tuple[str, ...]) -> None:
    """Raise SettingsError if an entry of `web.trusted_proxies` is not an IP address."""
    for proxy in proxies:
        try:
            ipaddress.ip_address(proxy)
        except ValueError:
            raise refuse(
                path, ["web", "trusted_proxies"], f'"{proxy}": give IP addresses, for example ["127.0.0.1"]'
            ) from None


def client_of(request: HTTPConnection, trusted: tuple[str, ...]) -> Client:
    """Return the right-most forwarded address that is not a trusted proxy, or the TCP peer if the peer is not trusted.

    A forwarded entry that is not an IP address ends the search; the proxy that reported it is then the client.
    A loopback connection without any header that a proxy adds is the station's own console.
    """
    peer = request.client.host if request.client else "unknown"
    address = _address(peer)
    if address is None:
        return Client(peer)
    if ipaddress.ip_address(address).is_loopback and not any(h in request.headers for h in _SIGNS_OF_A_PROXY):
        return Client(CONSOLE, at_console=True)
    proxies = {_address(p) for p in trusted}
    for entry in reversed(_forwarded(request)):
        if address not in proxies:
            break
        further = _address(entry)
        if further is None:
            break
        address = further
    return Client(address)


def _forwarded(request: HTTPConnection) -> list[str]:
    """The forwarded addresses as written, nearest last; X-Forwarded-For if there is one, otherwise Forwarded."""
    listed = request.headers.getlist("x-forwarded-for")
    if listed:
        return ",".join(listed).split(",")
    found = [_FOR.search(hop) for hop in ",".join(request.headers.getlist("forwarded")).split(",")]
    return [f[1] if f else "" for f in found]


def _address(text: str) -> str | None:
    """An IP address in its shortest form, without port and brackets; None if the text is not an address."""
    ported = _WITH_PORT.match(text.strip())
    bare = (ported[1] or ported[2]) if ported else text.strip()
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
