"""The administration page: people, nodes and their keys, tokens, health, backups; and the record, for those who audit.

Administrators change who and what is let in. They do not read the record: who looked at what is for supervisors and
auditors, who have nothing to change here. Every change is on the record, in the name of whoever made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Callable
from typing import Annotated, TypeVar

import anyio
import anyio.to_process
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from zmq.utils import z85

from station.access import AccessError, Role
from station.alarms import TECHNICAL_RULES
from station.backup import back_up
from station.backup_show import BackupsView, backups_folder, list_backups
from station.feed import FeedFigures
from station.guard import RefusedRequest, answer_json, read_body
from station.health_show import StoreHealth, read_health
from station.picture import AlarmState, AlarmView, Sentence
from station.record import Record, public_key_file, verify
from station.record_read import Trace, newest_entries
from station.store import StoreError
from station.store_arguments import LABEL_MOST, TOKEN_DAYS_MOST
from station.web_api import ApiRoute, Who, read_query
from station.web_door import Door
from wire.codec import NAME_LIMIT
from wire.keys import (
    Z85_KEY_CHARACTERS,
    AllowedNode,
    NodeKind,
    append_allowed,
    load_allow_list,
    load_station_key,
    remove_allowed,
)
from wire.node_words import Worded
from wire.settings import SettingsError

ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})
WHO_AUDITS = frozenset({Role.SUPERVISOR, Role.AUDITOR})
WHO_LOOKS_AFTER = ADMINISTRATORS | WHO_AUDITS
NODE_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{NAME_LIMIT - 1}}}")
T = TypeVar("T")
Details = dict[str, str | int | float]
log = logging.getLogger("trailwatch.web")


class PersonView(msgspec.Struct, frozen=True):
    name: str
    role: Role
    must_change_password: bool
    created_ns: int
    disabled: bool


class PersonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    role: Role


class NameRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class OneTimePassword(msgspec.Struct, frozen=True):
    """Shown once: it is kept as a hash alone."""

    name: str
    password: str


class NodeRow(msgspec.Struct, frozen=True):
    """last_heard_ns: None of one that was never heard. problems: as the node tells them; problem_words: the same as keys and
    values. allowed: False of one that was heard, and whose key was taken away.
    """

    node: str
    kind: str
    public: str
    allowed: bool
    silent: bool
    last_heard_ns: int | None
    problems: tuple[str, ...]
    problem_words: tuple[Worded, ...] = ()


class NodesView(msgspec.Struct, frozen=True):
    """station_public: for a node's settings. inbox: where nodes connect. trouble: why the list cannot be read; then the
    inbox goes on with the last good one. strangers: attempts with keys that are not in the list, since the store was born.
    """

    nodes: tuple[NodeRow, ...]
    station_public: str
    inbox: str
    file: str
    trouble: str
    strangers: int


class NodeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """public: the public key that `trailwatch keys new` printed, 40 characters. The secret one never leaves the node."""

    node: str
    kind: NodeKind
    public: str


class NodeNameRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    node: str


class TokenView(msgspec.Struct, frozen=True):
    """used_ns: 0 of one that was never used."""

    name: str
    label: str
    expires_ns: int
    used_ns: int


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    label: str
    days: float


class TokenNameRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    label: str


class NewToken(msgspec.Struct, frozen=True):
    """Shown once: it is kept as a digest alone."""

    token: str


class HealthView(msgspec.Struct, frozen=True):
    """troubles: the technical alarms that are open now."""

    store: StoreHealth
    figures: FeedFigures
    troubles: tuple[AlarmView, ...]


class RecordQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """before: `next` of the page before."""

    before: Annotated[int, msgspec.Meta(ge=1, lt=2**62)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class RecordPage(msgspec.Struct, frozen=True):
    rows: tuple[Trace, ...]
    next: int | None


class VerdictView(msgspec.Struct, frozen=True):
    """entries: how many are good, from the first on. head: to be noted, and looked for the next time. broken: what is wrong
    with the next one; None when all hold.
    """

    entries: int
    head: str
    broken: str | None


class AdminRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._one_verdict = anyio.CapacityLimiter(1)
        self._list_lock = threading.Lock()
        self._backup: asyncio.Task[None] | None = None
        self._backup_since_ns: int | None = None
        self._backup_failed = ""

    def routes(self) -> list[BaseRoute]:
        admin, audit = Who.ADMINISTRATORS, Who.AUDITORS
        return [
            ApiRoute("/api/admin/people", self.people, "All accounts.", who=admin, answer=tuple[PersonView, ...]),
            ApiRoute("/api/admin/people", self.add_person, "Make an account with a one-time password.", method="POST",
                     who=admin, body=PersonRequest, answer=OneTimePassword),
            ApiRoute("/api/admin/people/password", self.reset_password, "Give somebody a one-time password; sessions end.",
                     method="POST", who=admin, body=NameRequest, answer=OneTimePassword),
            ApiRoute("/api/admin/people/role", self.change_role, "Give somebody another role; their sessions end.",
                     method="POST", who=admin, body=PersonRequest, answer=None),
            ApiRoute("/api/admin/people/disable", self.disable, "Let an account in no more; its sessions and tokens end.",
                     method="POST", who=admin, body=NameRequest, answer=None),
            ApiRoute("/api/admin/people/enable", self.enable, "Let a disabled account in again.",
                     method="POST", who=admin, body=NameRequest, answer=None),
            ApiRoute("/api/admin/nodes", self.nodes, "The nodes that may connect, and when each was heard.",
                     who=admin, answer=NodesView),
            ApiRoute("/api/admin/nodes", self.add_node, "Let a node connect with its public key.", method="POST",
                     who=admin, body=NodeRequest, answer=None),
            ApiRoute("/api/admin/nodes/revoke", self.revoke_node, "Take a node's key off the list; it is heard no more.",
                     method="POST", who=admin, body=NodeNameRequest, answer=None),
            ApiRoute("/api/admin/tokens", self.tokens, "Tokens of machines.", who=admin, answer=tuple[TokenView, ...]),
            ApiRoute("/api/admin/tokens", self.make_token, "Make a token for an account.", method="POST",
                     who=admin, body=TokenRequest, answer=NewToken),
            ApiRoute("/api/admin/tokens/revoke", self.revoke_token, "End a token now.", method="POST",
                     who=admin, body=TokenNameRequest, answer=None),
            ApiRoute("/api/admin/health", self.health, "Disk, files, processes, delays, and what is wrong.",
                     who=Who.READERS_OF_RECORD, answer=HealthView),
            ApiRoute("/api/admin/backups", self.backups, "Backups, and whether one is being made.", who=admin,
                     answer=BackupsView),
            ApiRoute("/api/admin/backups", self.make_backup, "Begin a backup; the list says when it is made.",
                     method="POST", who=admin, answer=None),
            ApiRoute("/api/admin/record", self.record, "The record's newest entries; that somebody reads them is recorded.",
                     who=audit, query=RecordQuery, answer=RecordPage),
            ApiRoute("/api/admin/record/verify", self.verify, "Walk the record's chain of hashes and signatures now.",
                     method="POST", who=audit, answer=VerdictView),
        ]

    # ----------------------------------------------------------------------------------------------------------- people

    async def people(self, request: Request) -> Response:
        await self._door.known(request, roles=ADMINISTRATORS)
        found = await anyio.to_thread.run_sync(self._door.people.everyone)
        return answer_json([
            PersonView(p.name, p.role, p.must_change_password, p.created_ns, p.disabled) for p in found
        ])

    async def add_person(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, PersonRequest)
        name = wanted.name.strip()
        told: Details = {"account": name, "role": wanted.role.value}
        word = await self._recorded(
            session.person.name, "people.added", told, lambda: self._door.people.add(name, wanted.role)
        )
        return answer_json(OneTimePassword(name, word))

    async def reset_password(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, NameRequest)
        _not_oneself(session.person.name, wanted.name)
        word = await self._recorded(
            session.person.name, "people.password", {"account": wanted.name},
            lambda: self._door.people.set_password(wanted.name),
        )
        return answer_json(OneTimePassword(wanted.name, word))

    async def change_role(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, PersonRequest)
        _not_oneself(session.person.name, wanted.name)
        await self._recorded(
            session.person.name, "people.role", {"account": wanted.name, "role": wanted.role.value},
            lambda: self._door.people.set_role(wanted.name, wanted.role),
        )
        return answer_json(None)

    async def disable(self, request: Request) -> Response:
        return await self._set_disabled(request, True)

    async def enable(self, request: Request) -> Response:
        return await self._set_disabled(request, False)

    async def _set_disabled(self, request: Request, disabled: bool) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, NameRequest)
        _not_oneself(session.person.name, wanted.name)
        action = "people.disabled" if disabled else "people.enabled"
        await self._recorded(
            session.person.name, action, {"account": wanted.name},
            lambda: self._door.people.set_disabled(wanted.name, disabled),
        )
        return answer_json(None)

    # ------------------------------------------------------------------------------------------------------------ nodes

    async def nodes(self, request: Request) -> Response:
        await self._door.known(request, roles=ADMINISTRATORS)
        return answer_json(await anyio.to_thread.run_sync(self._nodes))

    def _nodes(self) -> NodesView:
        settings = self._door.settings
        heard = {n.node: n for n in self._door.feed.picture().nodes}
        trouble, public, allowed = "", "", {}
        try:
            if settings.nodes_file.exists():
                allowed = load_allow_list(settings.nodes_file, settings.realm)
            if settings.station_key.exists():
                public = load_station_key(settings.station_key).public
        except SettingsError as error:
            trouble = str(error)
        rows = []
        for node in allowed.values():
            view = heard.pop(node.node, None)
            health = view.health if view else None
            rows.append(NodeRow(
                node.node, node.kind.value, node.public, True, view is None or view.silent,
                view.last_heard_ns if view else None, health.problems if health else (),
                health.problem_words if health else (),
            ))
        if not trouble:
            rows += [NodeRow(n.node, n.kind, "", False, n.silent, n.last_heard_ns, ()) for n in heard.values()]
        strangers = self._door.feed.figures().counts.refused.get("unknown_key", 0)
        return NodesView(
            tuple(sorted(rows, key=lambda r: r.node)), public, settings.inbox.bind, str(settings.nodes_file), trouble,
            strangers,
        )

    async def add_node(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, NodeRequest)
        settings = self._door.settings
        public = wanted.public.strip().strip("'\"")

        def do() -> None:
            _check_node(wanted.node, public)
            with self._list_lock:
                listed = load_allow_list(settings.nodes_file, settings.realm) if settings.nodes_file.exists() else {}
                if wanted.node in {n.node for n in listed.values()}:
                    raise RefusedRequest(409, Sentence("admin.refused.node_listed", {"node": wanted.node}))
                if public in listed:
                    raise RefusedRequest(409, Sentence("admin.refused.key_listed", {"node": listed[public].node}))
                if settings.station_key.exists() and load_station_key(settings.station_key).public == public:
                    raise RefusedRequest(409, Sentence("admin.refused.own_key"))
                append_allowed(settings.nodes_file, AllowedNode(wanted.node, wanted.kind, settings.realm, public))

        told: Details = {"node": wanted.node, "kind": wanted.kind.value, "key": public}
        await self._recorded(session.person.name, "node.added", told, do)
        return answer_json(None)

    async def revoke_node(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, NodeNameRequest)
        settings = self._door.settings

        def do() -> None:
            with self._list_lock:
                there = settings.nodes_file.exists() and remove_allowed(settings.nodes_file, wanted.node)
            if not there:
                raise RefusedRequest(404, Sentence("admin.refused.no_node", {"node": wanted.node}))

        await self._recorded(session.person.name, "node.revoked", {"node": wanted.node}, do)
        return answer_json(None)

    # ----------------------------------------------------------------------------------------------------------- tokens

    async def tokens(self, request: Request) -> Response:
        await self._door.known(request, roles=ADMINISTRATORS)
        return answer_json([TokenView(*row) for row in await anyio.to_thread.run_sync(self._door.people.tokens)])

    async def make_token(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, TokenRequest)
        label = wanted.label.strip()
        if not 0 < wanted.days <= TOKEN_DAYS_MOST:
            raise RefusedRequest(400, Sentence("admin.refused.token_days", {"most": round(TOKEN_DAYS_MOST)}))
        if not 0 < len(label) <= LABEL_MOST or not label.isprintable():
            raise RefusedRequest(400, Sentence("admin.refused.token_label", {"most": LABEL_MOST}))

        def do() -> str:
            if any((name, other) == (wanted.name, label) for name, other, _, _ in self._door.people.tokens()):
                raise RefusedRequest(409, Sentence("admin.refused.token_there", {"label": label}))
            return self._door.people.make_token(wanted.name, label, wanted.days)

        told: Details = {"account": wanted.name, "label": label, "days": wanted.days}
        token = await self._recorded(session.person.name, "token.made", told, do)
        return answer_json(NewToken(token))

    async def revoke_token(self, request: Request) -> Response:
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        wanted = await read_body(request, TokenNameRequest)

        def do() -> None:
            if not self._door.people.revoke_tokens(wanted.name, wanted.label):
                raise RefusedRequest(404, Sentence("admin.refused.no_token", {"label": wanted.label}))

        told: Details = {"account": wanted.name, "label": wanted.label}
        await self._recorded(session.person.name, "token.revoked", told, do)
        return answer_json(None)

    # ------------------------------------------------------------------------------------------------- health, backups

    async def health(self, request: Request) -> Response:
        await self._door.known(request, roles=WHO_LOOKS_AFTER)
        store = await anyio.to_thread.run_sync(read_health, self._door.settings)
        troubles = tuple(
            a for a in self._door.feed.picture().alarms if a.rule in TECHNICAL_RULES and a.state is not AlarmState.CLOSED
        )
        return answer_json(HealthView(store, self._door.feed.figures(), troubles))

    async def backups(self, request: Request) -> Response:
        await self._door.known(request, roles=ADMINISTRATORS)
        return answer_json(await self._do(
            lambda: list_backups(self._door.settings, self._backup_since_ns, self._backup_failed)
        ))

    async def make_backup(self, request: Request) -> Response:
        """Answers at once: a large station takes minutes, and no page has to stay open for it."""
        session = await self._door.changing(request, roles=ADMINISTRATORS)
        if self._backup_since_ns is not None:
            raise RefusedRequest(409, Sentence("admin.refused.backup_runs"))
        self._backup_since_ns, self._backup_failed = self._door.clock.utc_ns(), ""
        self._backup = asyncio.create_task(self._make_backup(session.person.name))
        return answer_json(None)

    async def _make_backup(self, person: str) -> None:
        settings, clock = self._door.settings, self._door.clock
        try:
            await anyio.to_thread.run_sync(
                lambda: back_up(settings, person, backups_folder(settings), clock), abandon_on_cancel=True
            )
        except (StoreError, SettingsError) as error:
            log.error("no backup was made: %s", error)
            self._backup_failed = str(error)
        finally:
            self._backup_since_ns = None

    # ----------------------------------------------------------------------------------------------------------- record

    async def record(self, request: Request) -> Response:
        session = await self._door.known(request, roles=WHO_AUDITS)
        query = read_query(request, RecordQuery)
        if query.before is None:        # pages after the first are the same look
            await self._note(session.person.name, "record.read", {})
        rows = await self._do(lambda: newest_entries(self._door.settings, query.before, query.limit))
        return answer_json(RecordPage(tuple(rows), rows[-1].number if len(rows) == query.limit else None))

    async def verify(self, request: Request) -> Response:
        """In a process of its own: a long record takes a core for minutes, and the map must not wait for it."""
        session = await self._door.changing(request, roles=WHO_AUDITS)
        settings = self._door.settings
        async with self._one_verdict:
            try:
                verdict = await anyio.to_process.run_sync(verify, settings.record_db, public_key_file(settings))
            except SettingsError as error:
                raise RefusedRequest(503, Sentence("refused.store", {"error": str(error)})) from None
        told: Details = {"entries": verdict.entries, "head": verdict.head, "broken": verdict.broken or ""}
        await self._note(session.person.name, "record.verified", told)
        return answer_json(VerdictView(verdict.entries, verdict.head, verdict.broken))

    # ----------------------------------------------------------------------------------------------------------- common

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(work)
        except AccessError as error:
            raise RefusedRequest(409, error.says) from None
        except (SettingsError, OSError) as error:
            raise RefusedRequest(503, Sentence("refused.store", {"error": str(error)})) from None

    async def _recorded(self, person: str, action: str, details: Details, work: Callable[[], T]) -> T:
        """Do it, and put it on the record; a record that takes nothing is found out before anything is done."""

        def do() -> T:
            with contextlib.closing(Record(self._door.settings, self._door.clock)) as record:
                if record.trouble:
                    raise StoreError(record.trouble)
                done = work()
                record.append(person, action, details)
                return done

        return await self._do(do)

    async def _note(self, person: str, action: str, details: Details) -> None:
        await self._recorded(person, action, details, lambda: None)


def _not_oneself(person: str, name: str) -> None:
    if person == name:
        raise RefusedRequest(409, Sentence("admin.refused.oneself"))


def _check_node(node: str, public: str) -> None:
    if not NODE_NAME.fullmatch(node):
        raise RefusedRequest(400, Sentence("admin.refused.node_name", {"most": NAME_LIMIT}))
    bad = RefusedRequest(400, Sentence("admin.refused.no_key", {"count": len(public), "wanted": Z85_KEY_CHARACTERS}))
    # Quote and backslash are not of Z85: what is not would be written into the list's file.
    if len(public) != Z85_KEY_CHARACTERS or any(c not in _Z85 for c in public):
        raise bad
    try:
        z85.decode(public)
    except (ValueError, KeyError):
        raise bad from None


_Z85 = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#")
