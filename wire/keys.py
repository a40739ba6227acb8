"""Who may speak: one CURVE key pair a node, and the station's list of the public ones.

A key belongs to one node and one realm from the moment it is made. The station believes the list, never the message:
node, kind and realm of whoever speaks are looked up by the public key that CURVE proved.
"""

from __future__ import annotations

import os
import re
import tomllib
from enum import StrEnum
from pathlib import Path

import msgspec
import zmq

from wire.settings import SettingsError, load_settings
from wire.units import Realm

Z85_KEY_CHARACTERS = 40     # 32 bytes in Z85, as ZeroMQ writes CURVE keys


class NodeKind(StrEnum):
    """What a node is, and so which messages it may send."""

    CAMERA = "camera"
    DRONE = "drone"
    FLEET = "fleet"


class NodeKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node's own key pair. The file that holds it is readable by its owner alone."""

    node: str
    kind: NodeKind
    realm: Realm
    public: str
    secret: str


class AllowedNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    node: str
    kind: NodeKind
    realm: Realm
    public: str


class AllowList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The station's file `nodes.toml`."""

    nodes: list[AllowedNode] = []


class StationKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    realm: Realm
    public: str
    secret: str


def make_node_key(node: str, kind: NodeKind, realm: Realm) -> NodeKey:
    public, secret = zmq.curve_keypair()
    return NodeKey(node, kind, realm, public.decode("ascii"), secret.decode("ascii"))


def make_station_key(realm: Realm) -> StationKey:
    public, secret = zmq.curve_keypair()
    return StationKey(realm, public.decode("ascii"), secret.decode("ascii"))


def write_private(path: Path, value: msgspec.Struct) -> None:
    """Write a key file that its owner alone can read; an existing file is never overwritten (FileExistsError)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_toml(value))


def load_node_key(path: Path) -> NodeKey:
    """Read a node's key file. Raises SettingsError."""
    if not path.exists():
        raise SettingsError(f"{path.resolve()}: there is no such key file. `trailwatch keys new` makes one.")
    key = load_settings(path, NodeKey)
    _check(path, key.public, key.secret)
    return key


def load_station_key(path: Path) -> StationKey:
    key = load_settings(path, StationKey)
    _check(path, key.public, key.secret)
    return key


def load_allow_list(path: Path, realm: Realm) -> dict[str, AllowedNode]:
    """The nodes that may speak to a station of `realm`, by public key (Z85).

    A key of the other realm in the file is an error, not a line to skip: somebody mixed up two stations.
    """
    allowed: dict[str, AllowedNode] = {}
    for i, node in enumerate(load_settings(path, AllowList).nodes):
        _check(path, node.public)
        if node.realm is not realm:
            raise SettingsError(
                f'{path}: nodes.{i}: "{node.node}" has a key of the {node.realm.value} realm, and this station is '
                f"{realm.value}. Remove it, and make that node a key of its own for this station."
            )
        if node.public in allowed or node.node in {other.node for other in allowed.values()}:
            raise SettingsError(f'{path}: nodes.{i}: "{node.node}": the name or the key stands there twice')
        allowed[node.public] = node
    return allowed


def append_allowed(path: Path, node: AllowedNode) -> None:
    """Add one node to the station's list; a running inbox notices the change of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n[[nodes]]\n" + _toml(node))


def remove_allowed(path: Path, node: str) -> bool:
    """Take one node out of the station's list, and leave every other line of the file as it is. False when it is not in it.

    Raises SettingsError for a file that cannot be read. The list is exchanged whole: a reader sees the old or the new one.
    """
    nodes = load_settings(path, AllowList).nodes
    if node not in {n.node for n in nodes}:
        return False
    head, *blocks = re.split(r"(?m)^(?=[ \t]*\[\[nodes\]\])", path.read_text(encoding="utf-8"))
    kept = [head]
    for block in blocks:
        if tomllib.loads(block)["nodes"][0].get("node") != node:
            kept.append(block)
            continue
        # What stands above the next node's line, a comment about it, is not this node's.
        lines = block.splitlines(keepends=True)
        last = max(i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#"))
        kept.append("".join(lines[last + 1 :]))
    text = "".join(kept)
    left = [n for n in nodes if n.node != node]
    if msgspec.toml.decode(text, type=AllowList).nodes != left:         # written in another way, by hand
        text = "".join("\n[[nodes]]\n" + _toml(n) for n in left)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return True


def _toml(value: msgspec.Struct) -> str:
    fields = msgspec.to_builtins(value)
    # Z85 has no quote and no backslash, and names are checked by the command line: a literal string holds them all.
    return "".join(f"{name} = '{text}'\n" for name, text in fields.items())


def _check(path: Path, *keys: str) -> None:
    for key in keys:
        if len(key) != Z85_KEY_CHARACTERS:
            raise SettingsError(
                f"{path}: a CURVE key has {Z85_KEY_CHARACTERS} characters, this one {len(key)}; "
                "copy the whole line that `trailwatch keys new` printed"
            )
