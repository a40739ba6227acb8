"""The mind: reads what the inbox has stored, and keeps contacts, matches, alarms and the picture.

One loop: arrivals in, fusion, matching, alarms, a commit, a delta out. An alarm, a question and a person's decision are on
the disk, durably and together with the place in the inbox up to which everything was read, before anybody is told of them.
Contacts alone are written at most twice a second, for the sake of SD cards: what a crash takes back is read from the inbox
again and comes out the same.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from geofences.sector import Sector
from station.admission import captured_ns
from station.alarm_rate import RateKeeper
from station.alarm_settings import load_alarm_settings
from station.alarm_watch import Watch
from station.arrivals import NEW_PLACE, Arrival, Arrivals
from station.contact_requests import MergeContacts, NotePatrol, SplitContact
from station.contacts import Contact
from station.coverage import Coverage
from station.doubts import ELSEWHERE, STALE
from station.duty import DutyRequest
from station.fleet_desk import STATE as FLEET
from station.fleet_desk import FleetDesk, drones_by_sensor
from station.fleet_requests import DropOffer, FollowContact
from station.fusion import Fusion
from station.fusion_bearings import Bearings
from station.fusion_frames import SensorFrame
from station.fusion_offsets import OffsetsState
from station.memory import Changes, Numbers, Remembered, load, read_raised, save
from station.mind_contacts import ContactRequests, live_contact
from station.mind_duty import DutyDesk
from station.mind_faults import FaultWatch
from station.mind_requests import MindParts, MindRequests
from station.mind_sights import sights_of, stands_at
from station.node_budgets import OVER_BUDGET
from station.notifier import NOTICES
from station.notifier_health import NotifierWatch
from station.parties import companions
from station.patrols import Patrols
from station.picture import AlarmView, Answer, Counts, Delta, Picture, Request
from station.questions import Questions
from station.record import Record
from station.retention_mind import MindRetention
from station.retention_show import ErasedNotes
from station.rules import AlarmDesk
from station.settings import StationSettings
from station.situation import Situation
from station.store import INBOX, MIND, StoreError, Synchronous, open_or_read, open_reader, stand_in
from station.views import contact_view
from wire.clock import NS_PER_S, Clock
from wire.flying import CheckResult, DroneTelemetry, Plan, Preflight, TaskState
from wire.keys import NodeKind
from wire.messages import DetectionBatch, NodeHealth, OrderResult, SensorReport, UpBody
from wire.tasking import Dispatch, Offer, Target
from wire.units import Realm

COMMIT_EVERY_NS = 500_000_000       # of contacts and places alone
COASTING_SHOWN_EVERY_NS = NS_PER_S
KEPT_ENDED_NS = 120 * NS_PER_S      # an ended contact stays in the picture so long
KEPT_CLOSED_NS = 600 * NS_PER_S     # and a closed alarm
COUNTS_EVERY_NS = NS_PER_S
OVER_BUDGET_NS = 30 * NS_PER_S      # without an over-budget message; then the alarm of that node ends
LATEST_SAVED_EVERY_NS = 5 * NS_PER_S
OFFSETS_SAVED_EVERY_NS = 30 * NS_PER_S
OFFSETS = "fusion.offsets"          # what the sensors' errors are, in the mind's memory

_log = logging.getLogger("trailwatch.mind")


@dataclass(slots=True)
class News:
    """What the next delta tells."""

    contacts: set[int] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    alarms: set[int] = field(default_factory=set)
    matches: set[int] = field(default_factory=set)
    counts: Counts | None = None


class Mind:
    """All of the station's judgement, without sockets: `read`, `pass_time`, `answer`, `commit`, `delta`."""

    def __init__(self, settings: StationSettings, sector: Sector, clock: Clock) -> None:
        self._settings = settings
        self._sector = sector
        self._clock = clock
        self._db = open_or_read(settings.mind_db, MIND, settings.realm, clock, Synchronous.NORMAL)
        self._inbox: sqlite3.Connection | None = None
        now_ns = clock.utc_ns()
        memory = self._remember(now_ns)
        self._numbers = memory.numbers
        self._arrivals = Arrivals(memory.place, memory.states.get(NEW_PLACE), clock)
        self._fusion = Fusion(
            sector.corridors, [c for c in memory.contacts if c.ended_ns is None], memory.numbers.contact,
            _offsets(memory.states.get(OFFSETS)),
        )
        self._bearings = Bearings(sector.corridors)
        self._contact_requests = ContactRequests(Patrols(sector.frame))
        self._ended = {c.number: c for c in memory.contacts if c.ended_ns is not None}
        alarm_settings = load_alarm_settings(settings.sector, sector)
        self._desk = AlarmDesk(
            sector, memory.alarms, memory.numbers.alarm, alarm_settings,
            companions_of=lambda contact: companions(contact, self._fusion.contacts.values()),
        )
        self._desk.recall([*self._fusion.contacts.values(), *self._ended.values()])
        self._record = Record(settings, clock)
        self._questions = Questions(
            settings, sector, clock, self._record, memory.matches, memory.numbers.match, memory.states
        )
        self._situation = Situation(
            {s.id: s for s in memory.sensors}, {n.node: n for n in memory.nodes}, dict(memory.drones)
        )
        self._situation.remember_names()
        self._fleet = FleetDesk(settings.realm, memory.states.get(FLEET))
        self._coverage = Coverage(settings, sector, clock)
        self._watch = Watch(settings.watch, sector.utc_offset_min, now_ns)
        self._duty = DutyDesk(settings, sector, alarm_settings, self._db, memory.log)
        self._rates = RateKeeper(alarm_settings.flood, *read_raised(self._db, now_ns))
        self._parts = MindParts(
            clock, self._fusion, self._ended, self._desk, self._questions, self._situation, self._record,
            touch=self._touch, note_ended=self._note_ended, commit=lambda: self.commit(force=True),
            picture=self.picture, set_weather=self._coverage.set_weather, tell_walk=self._coverage.tell_walk,
            watched=lambda screens: self._watch.note(screens, clock.utc_ns()),
        )
        self._requests = MindRequests(self._parts)
        self._retention = MindRetention(self._db, settings.retention, clock)
        self._erased = ErasedNotes(self._db, self._record, settings, clock)
        self._faults = FaultWatch(self._desk, self._situation, sector, alarm_settings, self._is_training, now_ns)
        self._notifiers = NotifierWatch(settings, NOTICES, clock)
        self._counts = Counts(0, 0, {})
        self._changes = Changes()
        self._news = News()
        self._offsets_saved = self._fusion.offsets.count, now_ns
        self._committed_ns = self._counted_ns = self._coasted_ns = self._saved_ns = 0
        self.turn = now_ns // 1_000_000     # a restart jumps ahead, so that nobody takes the next delta for the missing one

    # ------------------------------------------------------------------------------------------------------ arrivals in

    def read(self) -> bool:
        """Take the next arrivals. Returns whether more may be waiting."""
        inbox = self._open_inbox()
        if inbox is None:
            return False
        more = self._arrivals.read(
            inbox, lambda node, at_ns: self._situation.heard(node, self._kind_of(inbox, node), at_ns),
            lambda arrival: self._take(inbox, arrival),
        )
        self._questions.ask(self._fusion, self._desk, self._clock.utc_ns())
        return more

    @property
    def place(self) -> int:
        """The arrival up to which everything is judged."""
        return self._arrivals.place

    def _remember(self, now_ns: int) -> Remembered:
        """Everything of before that can be read; nothing where the file is so damaged that it cannot."""
        if not self._db.stand_in:
            try:
                self._db.execute("SELECT count(at_ns) FROM alarm_events").fetchone()
                return load(self._db, now_ns - KEPT_ENDED_NS, now_ns - KEPT_CLOSED_NS)
            except (sqlite3.DatabaseError, msgspec.DecodeError):
                if not self._db.trouble:
                    raise
                self._db = stand_in(self._db, self._settings.mind_db, MIND, self._settings.realm, self._clock)
        self._go_on_from_now()
        return load(self._db, now_ns, now_ns)

    def _go_on_from_now(self) -> None:
        """Nothing of before can be read: what was judged once must not be judged again, so only what comes now is."""
        inbox = self._open_inbox_file()
        newest = 0 if inbox is None else int(inbox.execute("SELECT coalesce(max(id), 0) FROM arrivals").fetchone()[0])
        self._db.execute("PRAGMA query_only = OFF")
        self._db.execute("UPDATE place SET arrival = ?", (newest,))
        self._db.execute("PRAGMA query_only = ON")

    def _open_inbox_file(self) -> sqlite3.Connection | None:
        try:
            return open_reader(self._settings.inbox_db, INBOX, self._settings.realm)
        except FileNotFoundError:
            return None             # the inbox has not made it yet

    @property
    def troubles(self) -> dict[str, str]:
        """File to why it could not be opened for writing."""
        return {name: words for name, words in (("mind.db", self._db.trouble), ("record.db", self._record.trouble)) if words}

    def _open_inbox(self) -> sqlite3.Connection | None:
        if self._inbox is None:
            self._inbox = self._open_inbox_file()
            if self._inbox is None:
                return None
            self._coverage.catch_up(self._inbox, self._arrivals.new_place, self._situation.sensor_name)
        return self._inbox

    def _take(self, inbox: sqlite3.Connection, arrival: Arrival) -> None:
        s, node, received_ns = self._situation, arrival.node, arrival.received_ns
        if arrival.kind == "snapshot":
            self._take_snapshot(inbox, arrival.id, node, arrival.boot)
            return
        if arrival.suspect is not None and arrival.body is not None:
            self._take_suspect(node, arrival.body, arrival.suspect, received_ns)
            return
        match arrival.body:
            case None:
                pass        # cannot be read, as was said
            case DetectionBatch() as body:
                self._desk.clock_fault(node, False, self._is_training, 0.0, self._clock.utc_ns())
                self._take_detections(node, arrival.boot, body, received_ns)
            case SensorReport() as body:
                self._desk.place_fault(node, False, self._is_training, "", self._clock.utc_ns())
                s.report(node, body, received_ns)
                self._coverage.report(s.sensor_name(node, body.sensor), node, body, received_ns)
            case NodeHealth() as body:
                self._coverage.health(node, s.health(node, body))
            case DroneTelemetry() as body:
                s.telemetry(body)
                self._fleet.heard_of(node, body.drone)
            case Plan() | CheckResult() | Preflight() | TaskState() as body:
                for word in self._fleet.flown(node, body):
                    if isinstance(word, CheckResult):
                        s.plan_check(word)
                    else:
                        s.drone_word(word)
            case Offer() as body:
                self._fleet.offer(node, body)
            case Dispatch() as body:
                self._fleet.dispatch(node, body)
            case OrderResult() as body if s.nodes[node].kind == NodeKind.FLEET:
                self._fleet.answered(node, body, received_ns)
            case _:
                pass        # tracks and order results of cameras change nothing on the map yet

    def _take_suspect(self, node: str, body: UpBody, suspect: str, received_ns: int) -> None:
        """What the inbox keeps and does not believe: nothing is made of it, but an alarm about who says it."""
        mark, _, why = suspect.partition(": ")
        if mark == ELSEWHERE:
            self._desk.place_fault(node, True, self._is_training, why, self._clock.utc_ns())
        elif mark != STALE:
            offset_s = ((captured_ns(body) or received_ns) - received_ns) / NS_PER_S
            self._desk.clock_fault(node, True, self._is_training, offset_s, self._clock.utc_ns())

    def _kind_of(self, inbox: sqlite3.Connection, node: str) -> str:
        known = self._situation.nodes.get(node)
        if known is not None:
            return known.kind
        row = inbox.execute("SELECT kind FROM nodes WHERE node = ?", (node,)).fetchone()
        return str(row[0]) if row else "camera"

    @property
    def _is_training(self) -> bool:
        return self._settings.realm is Realm.TRAINING

    def _take_detections(self, node: str, boot: int, batch: DetectionBatch, received_ns: int) -> None:
        sensor = self._situation.sensor_name(node, batch.sensor)
        self._situation.saw_frame(sensor, batch.captured_ns)
        seen, bearings = sights_of(batch, f"{node}/{boot}/{sensor}", self._sector.frame)
        simulated = self._is_training or self._situation.is_simulated(sensor)
        stands = stands_at(self._situation.sensors.get(sensor), self._sector.frame)
        flying = self._situation.nodes[node].kind == "drone"
        self._fuse(SensorFrame(sensor, batch.captured_ns, received_ns, simulated, seen, stands, flying))
        for frame in self._bearings.frames(sensor, batch.captured_ns, received_ns, simulated, bearings):
            self._fuse(frame)

    def _fuse(self, frame: SensorFrame) -> None:
        touched, ended = self._fusion.observe(frame)
        now_ns = self._clock.utc_ns()
        for contact in touched:
            self._desk.judge(contact, now_ns)
            self._touch(contact)
            self._questions.consider(contact)
        self._note_ended(ended)

    def _take_snapshot(self, inbox: sqlite3.Connection, arrival: int, node: str, boot: int) -> None:
        row = inbox.execute("SELECT sensor, track FROM snapshots WHERE id = ?", (arrival,)).fetchone()
        if row is None:
            return
        track = f"{node}/{boot}/{self._situation.sensor_name(node, row[0])}/{row[1]}"
        contact = self._fusion.of_track(track) or next((c for c in self._ended.values() if track in c.tracks), None)
        if contact is not None:
            contact.snapshot = str(arrival)
            self._desk.note_snapshot(contact)
            self._questions.note_snapshot(contact)
            self._touch(contact)

    def _touch(self, contact: Contact) -> None:
        self._changes.contacts[contact.number] = contact
        self._news.contacts.add(contact.number)

    def _note_ended(self, ended: list[Contact]) -> None:
        self._questions.note_ended(ended)
        for contact in ended:
            self._changes.contacts[contact.number] = contact
            if contact.merged_into is not None:
                self._news.contacts.discard(contact.number)
                self._news.gone.add(contact.id)
            else:
                self._ended[contact.number] = contact
                self._news.contacts.add(contact.number)

    # ---------------------------------------------------------------------------------------------------- time passes

    def pass_time(self) -> None:
        """What follows from the time alone: coasting, ends, silence, blindness, escalation."""
        now_ns = self._clock.utc_ns()
        heard_to_ns = self._arrivals.reached_ns(now_ns)
        self._note_ended(self._fusion.end_quiet(heard_to_ns))
        for number, contact in list(self._ended.items()):
            if now_ns - (contact.ended_ns or 0) > KEPT_ENDED_NS:
                del self._ended[number]
                self._news.contacts.discard(number)
                self._news.gone.add(contact.id)
        if _is_due(self._coasted_ns, COASTING_SHOWN_EVERY_NS, now_ns):
            self._coasted_ns = now_ns
            self._news.contacts.update(
                c.number for c in self._fusion.contacts.values() if now_ns - c.last_seen_ns >= COASTING_SHOWN_EVERY_NS
            )
            self._faults.look(now_ns, heard_to_ns, self._coverage, self._watch, self._notifiers.look(now_ns))
            self._duty.pass_time(self._parts, now_ns)
            self._desk.pass_time(now_ns)
            self._forget_closed(now_ns)
            self._retention.step(alarm for i in self._duty.incidents.open() for alarm in i.alarms)
            self._desk.date_fault(self._retention.date_off_days, self._is_training, now_ns)
            self._erased.step()
        if _is_due(self._counted_ns, COUNTS_EVERY_NS, now_ns):
            self._counted_ns = now_ns
            self._count()
        self._coverage.pass_time(self._arrivals.new_place)
        self._fleet.pass_time(now_ns)

    def targets(self) -> Iterable[tuple[str, Target]]:
        """Where the contacts are that drones look at: node, and what it is to be told; see fleet_desk."""
        now_ns = self._clock.utc_ns()
        return self._fleet.targets(
            self._live_contact, lambda c: contact_view(c, self._sector, now_ns), drones_by_sensor(self._situation), now_ns
        )

    def _live_contact(self, name: str) -> Contact | None:
        return live_contact(name, self._fusion.contacts)

    def _forget_closed(self, now_ns: int) -> None:
        for number, alarm in list(self._desk.open.items()):
            if alarm.is_open or number in self._desk.changed or self._duty.teams.is_out_for(alarm.id):
                continue
            if now_ns - alarm.events[-1].at_ns > KEPT_CLOSED_NS:
                del self._desk.open[number]

    def _count(self) -> None:
        try:
            inbox = self._open_inbox()
        except StoreError:
            return                  # `read` says so
        if inbox is None:
            return
        totals = dict(inbox.execute("SELECT name, value FROM totals"))
        refused = dict(inbox.execute("SELECT reason, sum(count) FROM refusals GROUP BY reason ORDER BY reason"))
        now_ns = self._clock.utc_ns()
        for node, last_ns in inbox.execute("SELECT node, last_ns FROM refusals WHERE reason = ?", (OVER_BUDGET,)):
            self._desk.budget_fault(node, abs(now_ns - last_ns) < OVER_BUDGET_NS, self._is_training, now_ns)
        raised, self._desk.raised = self._desk.raised, []
        rate = self._rates.rate(raised, self._desk.open.values(), now_ns)
        told = totals.get("messages", 0), totals.get("detections", 0), refused
        counts = Counts(*told, alarms=rate, screens=self._watch.screens, old_news=self._arrivals.old_news)
        if counts != self._counts:
            self._counts = self._news.counts = counts

    # ------------------------------------------------------------------------------------------------- persons' requests

    def answer(self, request: Request) -> Answer:
        """Do what a person asks, on the disk before this returns; see mind_requests and mind_duty."""
        if isinstance(request, DutyRequest):
            return self._duty.answer(request, self._parts)
        if isinstance(request, MergeContacts | SplitContact | NotePatrol):
            return self._contact_requests.answer(request, self._parts)
        if isinstance(request, FollowContact | DropOffer):
            return self._fleet.answer(request, self._live_contact, self._clock.utc_ns())
        return self._requests.answer(request)

    # -------------------------------------------------------------------------------------------------- disk and picture

    def commit(self, force: bool = False) -> None:
        """Write what has changed, with the place: at once and durably where an alarm or a match did, else now and then."""
        now_ns = self._clock.utc_ns()
        changes = self._changes
        changes.alarms = dict(self._desk.changed)
        changes.matches = dict(self._questions.changed)
        changes.states.update(self._questions.states(now_ns) | self._fleet.states() | self._arrivals.state)
        changes.log = list(self._duty.fresh)
        durable = bool(changes.alarms or changes.matches or changes.log)
        if not (durable or force or _is_due(self._committed_ns, COMMIT_EVERY_NS, now_ns)):
            return
        self._collect_latest(now_ns, changes)
        numbers = Numbers(self._fusion.next_number, self._desk.next_number, self._questions.next_number)
        save(self._db, self.place, numbers, changes, durable)
        self._numbers = numbers
        self._committed_ns = now_ns
        self._tell(changes)
        self._desk.changed.clear()
        self._questions.changed.clear()
        self._changes = Changes()

    def store_trouble(self, file: str, detail: str) -> None:
        """A file of the station takes nothing, and why; empty: it does again."""
        self._desk.store_fault(file, bool(detail), self._is_training, detail, self._clock.utc_ns())

    def tell_unsaved(self) -> None:
        """Show the alarms although the disk refuses them: a full disk must not hide a crossing."""
        self._tell(Changes(alarms=self._desk.changed, matches=self._questions.changed))

    def _tell(self, changes: Changes) -> None:
        self._news.alarms.update(changes.alarms)
        self._news.matches.update(changes.matches)

    def _collect_latest(self, now_ns: int, changes: Changes) -> None:
        # Many numbers that change slowly; a contact remembers by a sensor's name, so a new name is written with it.
        sensors = self._fusion.offsets.count
        if sensors != self._offsets_saved[0] or now_ns - self._offsets_saved[1] >= OFFSETS_SAVED_EVERY_NS:
            self._offsets_saved = sensors, now_ns
            changes.states[OFFSETS] = msgspec.msgpack.encode(self._fusion.offsets.to_state())
        if not _is_due(self._saved_ns, LATEST_SAVED_EVERY_NS, now_ns):
            return
        self._saved_ns = now_ns
        changes.sensors = dict(self._situation.sensors)
        changes.nodes = dict(self._situation.nodes)
        changes.drones = dict(self._situation.drones)

    def delta(self) -> Delta | None:
        """What has changed since the last delta; None when nothing has. Alarms and matches once they are committed."""
        now_ns, news, s = self._clock.utc_ns(), self._news, self._situation
        contacts = [c for n in sorted(news.contacts) if (c := self._contact(n)) is not None]
        coverage, coverage_whole = self._coverage.take_news()
        delta = Delta(
            turn=self.turn + 1,
            at_ns=now_ns,
            contacts=tuple(contact_view(c, self._sector, now_ns) for c in contacts),
            contacts_gone=tuple(sorted(news.gone)),
            alarms=self._alarm_views(news.alarms | self._duty.take_retold()),
            matches=tuple(self._questions.matches[n].view() for n in sorted(news.matches)),
            sensors=tuple(s.sensor_view(name) for name in sorted(s.changed_sensors)),
            nodes=tuple(s.nodes[name] for name in sorted(s.changed_nodes)),
            drones=tuple(v for name in sorted(s.changed_drones) if (v := s.drone_view(name)) is not None),
            counts=news.counts,
            coverage=coverage,
            coverage_whole=coverage_whole,
            fleets=self._fleet.take_news(),
        )
        self._news = News()
        for changed in (s.changed_sensors, s.changed_nodes, s.changed_drones):
            changed.clear()
        if msgspec.structs.replace(delta, turn=0, at_ns=0) == Delta(0, 0):
            return None
        self.turn = delta.turn
        return delta

    def _alarm_views(self, numbers: Iterable[int]) -> tuple[AlarmView, ...]:
        teams, incidents = self._duty.teams, self._duty.incidents
        found = [a for n in sorted(numbers) if (a := self._desk.open.get(n)) is not None]
        return tuple(a.view(teams.of_alarm(a.id), incidents.of_alarm(a.id), self._desk.linked(a)) for a in found)

    def _contact(self, number: int) -> Contact | None:
        return self._fusion.contacts.get(number) or self._ended.get(number)

    def picture(self) -> Picture:
        """Everything, as of the last delta's turn; what has changed since comes with the next one as well."""
        now_ns, s = self._clock.utc_ns(), self._situation
        contacts = [*self._fusion.contacts.values(), *self._ended.values()]
        asked = {m for a in self._desk.open.values() if a.is_open for m in a.matches}
        return Picture(
            realm=self._settings.realm,
            turn=self.turn,
            at_ns=now_ns,
            contacts=tuple(contact_view(c, self._sector, now_ns) for c in sorted(contacts, key=lambda c: c.number)),
            alarms=self._alarm_views(self._desk.open),
            matches=tuple(m.view() for _, m in sorted(self._questions.shown(asked).items())),
            sensors=tuple(s.sensor_view(name) for name in sorted(s.sensors)),
            nodes=tuple(view for _, view in sorted(s.nodes.items())),
            drones=tuple(v for name in sorted(s.drones) if (v := s.drone_view(name)) is not None),
            counts=self._counts,
            coverage=self._coverage.picture()[0],
            coverage_whole=self._coverage.picture()[1],
            fleets=self._fleet.views(),
        )

    def close(self) -> None:
        self._db.close()
        self._coverage.close()
        self._notifiers.close()
        self._record.close()
        self._questions.close()
        if self._inbox is not None:
            self._inbox.close()


def _is_due(last_ns: int, every_ns: int, now_ns: int) -> bool:
    """Whether it is time again. A clock that was set back does not make it wait until that time has passed once more."""
    return not 0 <= now_ns - last_ns < every_ns


def _offsets(state: bytes | None) -> OffsetsState | None:
    return None if state is None else msgspec.msgpack.decode(state, type=OffsetsState)
