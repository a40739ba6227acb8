"""Coverage: which sensor sees each metre of trail now, and how well; and how long nobody has: the debt that patrols pay.

Fed with what sensors report. A report pays for the moment that it speaks of, whenever it comes: what waited at a node for
hours pays for the past, and says nothing about now. What is blind, silent, turning or in the dark pays nothing.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from cameras.pose import Pose
from geofences.light import Light, light_at
from geofences.sector import Sector
from station.coverage_grades import Grades, cloud_leaves, grades_of, present_density
from station.coverage_ledger import COVERAGE, Kept, Ledger
from station.coverage_picture import (
    CoverageView,
    CoverageWhole,
    SeesNothing,
    SensorCoverage,
    SetWeather,
    TellWalk,
    Weather,
)
from station.coverage_runs import Now, ages, corridor_view
from station.coverage_sight import (
    NO_SIGHT,
    Sight,
    between,
    contradicts_itself,
    is_plausible,
    on_the_way,
    pose_of,
    sight_of,
)
from station.coverage_trail import Trail
from station.coverage_walks import Walks, walk_refusal
from station.sentences import Sentence
from station.settings import StationSettings
from station.store import Synchronous, open_or_read
from wire.clock import NS_PER_S, Clock
from wire.codec import RefusedError, decode_envelope
from wire.messages import NodeHealth, SensorReport, SensorState
from wire.optics import Optics
from wire.units import Position, Realm

HOLD_NS = 10 * NS_PER_S             # what was reported holds so long, as station.situation has it of a node's silence
AHEAD_NS = 2 * NS_PER_S             # a node's clock may be so much before ours
JUMP_NS = 2 * NS_PER_S              # the date and the monotonic count part by more than this: the clock was set
BETWEEN_S = 3.0                     # reports of a moving sensor that are farther apart say nothing of the way between
STEP_M, STEP_DEG, STEPS_MOST = 5.0, 6.0, 6      # how finely that way is followed
LOOK_EVERY_NS = NS_PER_S
TELL_EVERY_NS = 2 * NS_PER_S        # what has changed on the map
FIGURES_EVERY_NS = 10 * NS_PER_S    # figures alone: debt grows all the time
SAVE_EVERY_NS = 60 * NS_PER_S       # a crash takes nothing back: what came since is read from the inbox again
CATCH_UP_LIMIT = 500_000            # arrivals; a file that was not written for longer than that begins where the mind is
LIGHTS_KEPT = 200                   # minutes

_log = logging.getLogger("trailwatch.mind")


@dataclass(slots=True)
class _Watcher:
    """One sensor. heard_ns: the moment of its last report, by our clock. conditions: of which `grades` (m, 5) are."""

    node: str
    state: SensorState = SensorState.BLIND
    optics: Optics | None = None
    position: Position | None = None
    pose: Pose | None = None
    turning_deg_s: float = 0.0
    sight: Sight = NO_SIGHT
    refused: SeesNothing = SeesNothing.NO_OPTICS
    doubtful: bool = False
    heard_ns: int = 0
    conditions: tuple[int, Weather] | None = None
    grades: Grades = field(default_factory=lambda: np.empty((0, 5), np.uint8))


class Coverage:
    """Raises nothing for a disk that fails: it goes on in memory, and says so."""

    def __init__(self, settings: StationSettings, sector: Sector, clock: Clock) -> None:
        self._settings, self._sector, self._clock = settings.coverage, sector, clock
        self._realm = settings.realm
        self._least = settings.coverage.least_grade
        self._trail = Trail(sector.corridors, sector.terrain)
        now_ns = clock.utc_ns()
        self._ledger = Ledger(self._trail, now_ns // NS_PER_S)
        self._db = open_or_read(settings.coverage_db, COVERAGE, settings.realm, clock, Synchronous.NORMAL)
        self._kept = self._ledger.load(self._db, sector.frame, now_ns // NS_PER_S)
        self._said_weather = self._load_weather()
        self._walks = Walks(self._db)
        self._watchers: dict[str, _Watcher] = {}
        self._late: dict[str, _Watcher] = {}    # the same, as they were by words that newer ones have overtaken on the line
        self._turning: set[str] = set()         # nodes
        self._lights: dict[int, Light] = {}
        n = self._trail.size
        self._now = Now(np.zeros(n, np.uint8), np.zeros(n, np.uint16), np.zeros(n, np.float32), [""])
        self._dirty = True
        self._looked = (now_ns, clock.monotonic_ns())
        self._due_ns = self._tell_due_ns = self._figures_due_ns = 0
        self._save_due_ns = clock.monotonic_ns() + SAVE_EVERY_NS
        self._failing = ""
        self._views: dict[str, CoverageView] = {}
        self._told_runs: dict[str, CoverageView] = {}
        self._whole: CoverageWhole | None = None
        self._news: dict[str, CoverageView] = {}
        self._news_whole: CoverageWhole | None = None

    # ------------------------------------------------------------------------------------------------------- what is heard

    def report(self, sensor: str, node: str, r: SensorReport, received_ns: int) -> None:
        """A sensor's word. sensor: its name on the map. received_ns: our clock."""
        at_ns = r.at_ns if r.at_ns <= received_ns else received_ns
        watcher = self._watchers.setdefault(sensor, _Watcher(node))
        if at_ns < watcher.heard_ns:        # it is there no more, and saw this all the same
            watcher = self._late.setdefault(sensor, _Watcher(node))
        before = (watcher.pose, watcher.heard_ns, watcher.state)
        if at_ns >= watcher.heard_ns:
            watcher.heard_ns, watcher.node, watcher.state = at_ns, node, r.state
            self._dirty = True
        if r.optics != watcher.optics or r.position != watcher.position:
            self._place(watcher, r)
            self._move(sensor, watcher, before, at_ns)
        if r.state is not SensorState.SEEING or node in self._turning or watcher.sight.is_empty:
            return
        self._pay(sensor, watcher.sight, self._grades(watcher, at_ns)[:, 0], at_ns)

    def _move(self, sensor: str, w: _Watcher, before: tuple[Pose | None, int, SensorState], at_ns: int) -> None:
        """What a moving sensor saw on its way from one report to the next; and how fast it has turned."""
        assert w.optics is not None or w.pose is None
        pose, then_ns, state = before
        w.turning_deg_s = w.optics.turning_deg_s if w.optics else 0.0
        took_s = (at_ns - then_ns) / NS_PER_S
        if pose is None or w.pose is None or w.optics is None or not 0.0 < took_s <= BETWEEN_S:
            return
        moved_m, turned_deg = between(pose, w.pose)
        # Rates from telemetry are noisy, and a turn that goes on is one; the lesser of the two is what can be relied on.
        w.turning_deg_s = min(w.turning_deg_s, turned_deg / took_s)
        if not (state is w.state is SensorState.SEEING) or w.node in self._turning:
            return
        steps = min(int(max(moved_m / STEP_M, turned_deg / STEP_DEG)), STEPS_MOST)
        for step in range(1, steps + 1):
            part = step / (steps + 1)
            sight = sight_of(w.optics, on_the_way(pose, w.pose, part), self._sector, self._trail, self._settings.growth, 1)
            if sight.is_empty:
                continue
            step_ns = then_ns + round(part * (at_ns - then_ns))
            lux, weather = self._light(step_ns // (60 * NS_PER_S)).lux, self.weather(step_ns)
            density = present_density(sight.density, sight.distance_m, w.optics, lux, weather, w.turning_deg_s)
            self._pay(sensor, sight, grades_of(density)[:, 0], step_ns)

    def _pay(self, sensor: str, sight: Sight, grades: Grades, at_ns: int) -> None:
        seen = grades >= self._least
        if seen.any():
            self._ledger.saw(sensor, sight.metres[seen], grades[seen], at_ns // NS_PER_S)

    def health(self, node: str, health: NodeHealth) -> None:
        """A camera that turns says so here."""
        before = len(self._turning)
        (self._turning.add if health.turning_to else self._turning.discard)(node)
        self._dirty |= len(self._turning) != before

    def _place(self, watcher: _Watcher, r: SensorReport) -> None:
        """Work out what it can see from there."""
        watcher.optics, watcher.position, watcher.conditions = r.optics, r.position, None
        watcher.sight, watcher.doubtful, watcher.pose, self._dirty = NO_SIGHT, False, None, True
        if r.optics is None:
            watcher.refused = SeesNothing.NO_OPTICS
        elif r.simulated and self._realm is Realm.LIVE:
            watcher.refused = SeesNothing.NOT_HERE
        elif not is_plausible(r.optics):
            watcher.refused = SeesNothing.IMPLAUSIBLE
        else:
            watcher.refused = SeesNothing.NONE
            pose = watcher.pose = pose_of(r.optics, r.position, self._sector)
            watcher.sight = sight_of(r.optics, pose, self._sector, self._trail, self._settings.growth)
            watcher.doubtful = contradicts_itself(r, pose, self._sector)

    def _grades(self, watcher: _Watcher, at_ns: int) -> Grades:
        """(m, 5) of what it has in its sight, in the light and weather of that minute."""
        minute, weather = at_ns // (60 * NS_PER_S), self.weather(at_ns)
        if watcher.conditions != (minute, weather):
            assert watcher.optics is not None       # it has a sight
            sight, lux = watcher.sight, self._light(minute).lux
            density = present_density(
                sight.density, sight.distance_m, watcher.optics, lux, weather, watcher.turning_deg_s
            )
            watcher.grades = grades_of(density)
            watcher.conditions = (minute, weather)
        return watcher.grades

    def _light(self, minute: int) -> Light:
        light = self._lights.get(minute)
        if light is None:
            if len(self._lights) >= LIGHTS_KEPT:
                self._lights.clear()
            frame = self._sector.frame
            light = self._lights[minute] = light_at(minute * 60 * NS_PER_S, frame.lat_deg, frame.lon_deg)
        return light

    # -------------------------------------------------------------------------------------------------------- time passes

    def pass_time(self, place: int) -> None:
        """Look again, at most once a second, and write now and then. place: in the inbox, up to which all was heard."""
        monotonic_ns = self._clock.monotonic_ns()
        if monotonic_ns < self._due_ns:
            return
        self._due_ns = monotonic_ns + LOOK_EVERY_NS
        now_ns = self._clock.utc_ns()
        self._notice_jump(now_ns, monotonic_ns)
        self._look(now_ns)
        if monotonic_ns >= self._tell_due_ns:
            self._tell_due_ns = monotonic_ns + TELL_EVERY_NS
            self._tell(now_ns, monotonic_ns)
        self._kept.place = place
        if monotonic_ns >= self._save_due_ns:
            self.save()

    def _notice_jump(self, now_ns: int, monotonic_ns: int) -> None:
        then_ns, then_monotonic_ns = self._looked
        self._looked = (now_ns, monotonic_ns)
        jump_ns = (now_ns - then_ns) - (monotonic_ns - then_monotonic_ns)
        if abs(jump_ns) <= JUMP_NS:
            return
        _log.warning("the clock was set by %.0f s; how long each metre was not seen stays as it was", jump_ns / NS_PER_S)
        self._ledger.shift(round(jump_ns / NS_PER_S))
        for watcher in self._watchers.values():
            watcher.heard_ns += jump_ns
        self._dirty = True

    def _look(self, now_ns: int) -> None:
        """Who sees what now."""
        now = self._now
        minute = now_ns // (60 * NS_PER_S)
        current = [(name, w) for name, w in self._watchers.items() if self._why(w, now_ns) is SeesNothing.NONE]
        stale = any(w.conditions is None or w.conditions[0] != minute for _, w in current)
        names = ["", *(name for name, _ in current)]
        if not (self._dirty or stale or names != now.names):
            return
        self._dirty = False
        now.names = names
        for values in (now.grade, now.by, now.width):
            values.fill(0)
        for number, (_, watcher) in enumerate(current, start=1):
            grades, metres = self._grades(watcher, now_ns), watcher.sight.metres
            better = grades[:, 0] > now.grade[metres]
            now.by[metres[better]] = number
            now.grade[metres[better]] = grades[better, 0]
            now.width[metres] = np.maximum(now.width[metres], (grades >= self._least).mean(axis=1))

    def _why(self, w: _Watcher, now_ns: int) -> SeesNothing:
        """Why a sensor counts for nothing now; NONE where it counts."""
        if w.node in self._turning:
            return SeesNothing.TURNING
        if w.refused is not SeesNothing.NONE:
            return w.refused
        if now_ns - w.heard_ns > HOLD_NS or w.heard_ns - now_ns > AHEAD_NS:
            return SeesNothing.SILENT
        if w.state is not SensorState.SEEING:
            return SeesNothing.BLIND
        return SeesNothing.NO_TRAIL if w.sight.is_empty else SeesNothing.NONE

    def _tell(self, now_ns: int, monotonic_ns: int) -> None:
        """Make the views, and note which of them are news."""
        figures = monotonic_ns >= self._figures_due_ns
        if figures:
            self._figures_due_ns = monotonic_ns + FIGURES_EVERY_NS
        age = ages(self._ledger, self._now, self._least, now_ns // NS_PER_S)
        for number, part in enumerate(self._trail.parts):
            view = corridor_view(part, number, self._ledger, self._now, age, now_ns, self._weight(part.priority))
            view = msgspec.structs.replace(view, walked=self._walks.of(part.id, now_ns))
            self._views[part.id] = view
            told = self._told_runs.get(part.id)
            changed = told is None or told.runs != view.runs or told.walked != view.walked
            if changed or (figures and told is not None and told.debt_mh != view.debt_mh):
                self._told_runs[part.id] = self._news[part.id] = view
        whole = self._make_whole(now_ns)
        told_whole = self._whole
        if figures or told_whole is None or told_whole.sensors != whole.sensors or told_whole.weather_by != whole.weather_by:
            self._whole = self._news_whole = whole

    def _weight(self, priority: int) -> float:
        return self._settings.weights[min(max(priority, 1), 3) - 1]

    def _make_whole(self, now_ns: int) -> CoverageWhole:
        views = self._views.values()
        light, weather, said = self._light(now_ns // (60 * NS_PER_S)), self.weather(now_ns), self._said_weather
        is_said = said is not None and now_ns < said[1]
        return CoverageWhole(
            at_ns=now_ns,
            length_m=sum(v.length_m for v in views),
            watched_m=sum(v.watched_m for v in views),
            never_m=sum(v.never_m for v in views),
            debt_mh=round(sum(v.debt_mh for v in views), 2),
            weighted_mh=round(sum(v.debt_mh * v.weight for v in views), 2),
            counts_from=int(self._least),
            sun_deg=round(light.sun_elevation_deg, 1),
            lux=float(f"{light.lux * cloud_leaves(weather.cloud):.3g}"),
            visibility_m=weather.visibility_m,
            rain_mm_h=weather.rain_mm_h,
            cloud=weather.cloud,
            weather_by=said[0].person if said and is_said else "",
            weather_until_ns=said[1] if said and is_said else 0,
            growth=tuple(sorted(self._settings.growth)),
            sensors=tuple(self._sensor(name, w, now_ns) for name, w in sorted(self._watchers.items())),
        )

    def _sensor(self, name: str, w: _Watcher, now_ns: int) -> SensorCoverage:
        why, grade, watched_m = self._why(w, now_ns), 0, 0
        if why is SeesNothing.NONE:
            centre = self._grades(w, now_ns)[:, 0]
            grade, watched_m = int(centre.max(initial=0)), int((centre >= self._least).sum())
            if not watched_m:
                enough = bool((grades_of(w.sight.density[:, 0]) >= self._least).any())
                why = SeesNothing.CONDITIONS if enough else SeesNothing.NO_TRAIL
        return SensorCoverage(name, w.optics.kind if w.optics else None, watched_m, grade, why, w.doubtful)

    # ----------------------------------------------------------------------------------------------------- what is asked

    def unseen_s(self, corridor: str) -> float:
        """For how long nobody has seen any metre of a corridor well enough; 0 while somebody does.

        Who walks a trail passes all of it, so one watched place on it is a watch on him; that the rest is unseen is debt.
        """
        number = next(i for i, p in enumerate(self._trail.parts) if p.id == corridor)
        metres = self._trail.parts[number].metres
        if (self._now.grade[metres] >= self._least).any():
            return 0.0
        seen_s = max(int(self._ledger.seen_s[metres].max(initial=0)), int(self._ledger.since_s[number]))
        return max(0.0, self._clock.utc_ns() / NS_PER_S - seen_s)

    def seen_at_s(self, corridor: str) -> npt.NDArray[np.int64]:
        """(metres of it,) Unix seconds at which each was last seen well enough; 0 for never."""
        return self._ledger.seen_s[self._trail.part(corridor).metres].copy()

    def picture(self) -> tuple[tuple[CoverageView, ...], CoverageWhole | None]:
        """As it was last worked out."""
        return tuple(self._views.values()), self._whole

    def take_news(self) -> tuple[tuple[CoverageView, ...], CoverageWhole | None]:
        """What has changed since somebody last asked this."""
        news = tuple(self._news.values()), self._news_whole
        self._news, self._news_whole = {}, None
        return news

    # ----------------------------------------------------------------------------------------------------------- weather

    def weather(self, at_ns: int) -> Weather:
        """A person's word as long as it holds, else the settings file's."""
        said = self._said_weather
        if said is not None and at_ns < said[1]:
            return Weather(said[0].visibility_m, said[0].rain_mm_h, said[0].cloud)
        return self._settings.weather

    def set_weather(self, said: SetWeather) -> None:
        """Take a person's word, on the disk before this returns. Raises sqlite3.Error, and then nothing has changed."""
        until_ns = self._clock.utc_ns() + round(said.hours * 3600 * NS_PER_S)
        state = json.dumps([msgspec.to_builtins(said), until_ns])
        self._db.execute("INSERT OR REPLACE INTO memory(name, state) VALUES ('weather', ?)", (state,))
        self._said_weather = (said, until_ns)
        self._dirty = True
        self._tell_due_ns = self._figures_due_ns = self._due_ns = 0

    def tell_walk(self, told: TellWalk) -> Sentence | None:
        """Keep a walk test's passes, on the disk before this returns; or why not. Raises sqlite3.Error where that fails."""
        now_ns = self._clock.utc_ns()
        refused = walk_refusal(told, frozenset(p.id for p in self._trail.parts), now_ns)
        if refused is None:
            self._walks.add(told, now_ns)
            self._tell_due_ns = self._due_ns = 0
        return refused

    def _load_weather(self) -> tuple[SetWeather, int] | None:
        row = self._db.execute("SELECT state FROM memory WHERE name = 'weather'").fetchone()
        if row is None:
            return None
        said, until_ns = json.loads(row[0])
        return msgspec.convert(said, SetWeather), int(until_ns)

    # -------------------------------------------------------------------------------------------------------- on the disk

    def catch_up(self, inbox: sqlite3.Connection, until: int, sensor_name: Callable[[str, str], str]) -> None:
        """After a start: hear again what arrived between our last writing and `until`, where the mind goes on."""
        place = self._kept.place
        if place and until - place <= CATCH_UP_LIMIT:
            rows = inbox.execute(
                "SELECT node, received_ns, payload FROM arrivals WHERE id > ? AND id <= ? AND kind = 'sensor' "
                "AND suspect IS NULL ORDER BY id", (place, until),
            )
            for node, received_ns, payload in rows:
                try:
                    body = decode_envelope(payload).body
                except RefusedError:
                    continue        # the mind has said so already
                if isinstance(body, SensorReport):
                    self.report(sensor_name(node, body.sensor), node, body, received_ns)
        self._kept.place = until

    def save(self) -> None:
        """Write what has changed, with the place."""
        self._save_due_ns = self._clock.monotonic_ns() + SAVE_EVERY_NS
        self._kept.saved_s = self._clock.utc_ns() // NS_PER_S
        try:
            self._ledger.save(self._db, Kept(self._kept.place, self._kept.saved_s))
            self._failing = ""
        except sqlite3.Error as error:
            if self._failing != str(error):
                _log.error("what was seen of the trails cannot be written: %s. Going on in memory, and trying again.", error)
            self._failing = str(error)

    def close(self) -> None:
        self.save()
        self._db.close()
