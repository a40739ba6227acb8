"""Adding up the shift: what the drones said themselves, as the station stored it, beside what really was."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import msgspec
import numpy as np

from fleet.look import ON_STATION_M
from sim.shift_eyes import DRAWN
from sim.shift_stage import ShiftStage
from sim.shift_story import Launched, Step, Told
from sim.shift_truth import DroneTruth, read_truths
from wire.clock import NS_PER_S
from wire.codec import decode_envelope
from wire.flying import DroneTelemetry, LinkState, TaskState
from wire.messages import UpBody
from wire.tasking import Dispatch, FlightKind
from wire.units import GroundPosition

LATE_NS = NS_PER_S // 2         # between two words of a drone on its mode
AT_HOME_M = 5.0                 # landed so near to it, it is at home
GAP_S = 2.0                     # between two lines of the truth; a longer gap is counted as not seen

OF_CONTACTS = (FlightKind.INVESTIGATE, FlightKind.RELIEF)


class Event(msgspec.Struct, frozen=True):
    """What a drone said. at_s: since the shift began."""

    at_s: float
    drone: str
    says: str


class LookFigures(msgspec.Struct, frozen=True):
    """One drone looking at the contact.

    press_to_take_off_s: from the press to the drone's word that it has taken off; None for one that was in the air.
    press_to_begin_s: to its word that it looks, from the ground the take-off. arrives_s: from the press until it was as near
    as a look is flown from; predicted in the offer, and as it was. Shares are of the time from there until it left, by the
    true attitude of drone and gimbal: in the picture, in the middle third of both sides, and with a clear line of sight.
    """

    drone: str
    kind: FlightKind
    press_to_take_off_s: float | None
    press_to_begin_s: float | None
    arrives_predicted_s: float | None
    arrives_s: float | None
    looked_s: float
    in_picture_share: float | None
    in_middle_share: float | None
    clear_share: float | None
    nearest_m: float | None


class ReliefFigures(msgspec.Struct, frozen=True):
    """By true places and attitudes. overlap_s: both looked and had the walker in their pictures, from wherever they were;
    overlap_there_s: both as near as a look is flown from. unwatched_s: neither had him, between the first's arrival and the
    second's leaving.
    """

    first: str
    second: str
    overlap_s: float
    overlap_there_s: float
    unwatched_s: float


class DroneFigures(msgspec.Struct, frozen=True):
    """predicted_percent, predicted_s: of the plan that it took off with; used_percent (told in whole percent) and flown_s
    of the whole flight, whatever came between. went_as_planned: nothing came between.
    nearest_line_m: least true distance to the border line, negative beyond it. buffer_m: what its plans had to keep.
    from_home_m: where it really is in the end. how: its flight ended.
    """

    drone: str
    landed: bool
    from_home_m: float | None
    how: str
    nearest_line_m: float | None
    buffer_m: float | None
    predicted_percent: float | None
    used_percent: float | None
    predicted_s: float | None
    flown_s: float | None
    went_as_planned: bool


class ShiftReport(msgspec.Struct, frozen=True):
    """The one object that `demo --shift --json` prints last. complete: every step of the story came.

    crossed: drones that were beyond the line; in_buffer: within the sector's least buffer.
    """

    complete: bool
    seconds: float
    sees: str
    contact: str
    steps: tuple[Step, ...]
    looks: tuple[LookFigures, ...]
    relief: ReliefFigures | None
    drones: tuple[DroneFigures, ...]
    crossed: tuple[str, ...]
    in_buffer: tuple[str, ...]
    sector_buffer_m: float
    refused: tuple[str, ...]
    gps_lost_at_s: float | None
    link_cut_s: tuple[float, float] | None
    events: tuple[Event, ...]
    taken_over: str
    restarts: int
    messages_refused: int
    detections_stored: int


@dataclass(slots=True)
class Heard:
    """What the fleet said, in the order in which it said it."""

    telemetry: dict[str, list[DroneTelemetry]] = field(default_factory=dict)
    tasks: list[TaskState] = field(default_factory=list)
    dispatches: list[Dispatch] = field(default_factory=list)


def add_up_shift(stage: ShiftStage, told: Told, *, complete: bool, seconds: float, restarts: int) -> ShiftReport:
    """Call it when the station has stored all there is."""
    heard = Heard()
    for body in _fleet_words(stage):
        match body:
            case DroneTelemetry():
                heard.telemetry.setdefault(body.drone, []).append(body)
            case TaskState():
                heard.tasks.append(body)
            case Dispatch():
                heard.dispatches.append(body)
    truths = {d: list(ts) for d, ts in _by_drone(read_truths(stage.truth))}
    sector = stage.shift.sector
    drones = tuple(_drone(stage, told, heard, name, truths.get(name, [])) for name in stage.drones)
    nearest = {d.drone: d.nearest_line_m for d in drones if d.nearest_line_m is not None}
    with sqlite3.connect(f"file:{stage.settings.inbox_db}?mode=ro", uri=True, timeout=10.0) as db:
        stored = int(db.execute("select count(*) from detections").fetchone()[0])
        refused = int(db.execute("select coalesce(sum(count), 0) from refusals").fetchone()[0])
    return ShiftReport(
        complete=complete, seconds=round(seconds, 1), sees=str(DRAWN), contact=told.contact, steps=tuple(told.steps),
        looks=tuple(_look(stage, told, heard, one, truths) for one in told.launched if one.offer.wish.kind in OF_CONTACTS),
        relief=_relief(stage, told, heard, truths) if told.second else None,
        drones=drones,
        crossed=tuple(d for d, m in nearest.items() if m <= 0), sector_buffer_m=sector.border_buffer_m,
        in_buffer=tuple(d for d, m in nearest.items() if m < sector.border_buffer_m),
        refused=tuple(told.refused),
        gps_lost_at_s=_since(told, told.gps_lost_ns) if told.gps_lost_ns else None,
        link_cut_s=(_since(told, told.cut_ns[0]), _since(told, told.cut_ns[1])) if told.cut_ns[0] else None,
        events=tuple(_events(told, heard)), taken_over=told.taken_over, restarts=restarts, messages_refused=refused,
        detections_stored=stored,
    )


def _fleet_words(stage: ShiftStage) -> Iterator[UpBody]:
    with sqlite3.connect(f"file:{stage.settings.inbox_db}?mode=ro", uri=True, timeout=10.0) as db:
        for (payload,) in db.execute("select payload from arrivals where node = 'fleet' order by id"):
            yield decode_envelope(payload).body


def _by_drone(truths: Iterable[DroneTruth]) -> Iterator[tuple[str, list[DroneTruth]]]:
    ordered = sorted(truths, key=lambda t: (t.drone, t.at_ns))
    for drone, of_it in groupby(ordered, key=lambda t: t.drone):
        yield drone, list(of_it)


def _since(told: Told, at_ns: int) -> float:
    return round((at_ns - told.began_ns) / NS_PER_S, 1)


# -------------------------------------------------------------------------------------------------------- what was said


def _events(told: Told, heard: Heard) -> list[Event]:
    """Phases of tasks, and changes of mode, arming and link, with what the autopilot said in between."""
    found = [Event(_since(told, t.at_ns), t.drone, f"{t.phase.value}: {t.sentence}") for t in heard.tasks]
    for drone, words in heard.telemetry.items():
        for before, now in pairwise(words):
            at_s = _since(told, now.at_ns)
            if now.armed != before.armed:
                found.append(Event(at_s, drone, "armed" if now.armed else "disarmed"))
            if now.mode != before.mode:
                found.append(Event(at_s, drone, f"mode {before.mode or '?'} -> {now.mode}"))
            if now.link is not before.link:
                found.append(Event(at_s, drone, f"link {before.link.value} -> {now.link.value}"))
            fresh = [text for text in now.texts if text not in before.texts]
            found += [Event(at_s, drone, f'"{text}"') for text in fresh]
    return sorted((e for e in found if e.at_s >= 0), key=lambda e: e.at_s)


def looking_spans(dispatches: list[Dispatch], drone: str, contact: str, end_ns: int) -> list[tuple[int, int]]:
    """From when to when the dispatcher had this drone look at the contact."""
    spans: list[tuple[int, int]] = []
    since: int | None = None
    for d in dispatches:
        looks = d.looking.get(drone) == contact
        if looks and since is None:
            since = d.at_ns
        elif not looks and since is not None:
            spans.append((since, d.at_ns))
            since = None
    return [*spans, (since, end_ns)] if since is not None else spans


def _end_ns(heard: Heard) -> int:
    return max((t.at_ns for words in heard.telemetry.values() for t in words), default=0)


def _relief(stage: ShiftStage, told: Told, heard: Heard, truths: dict[str, list[DroneTruth]]) -> ReliefFigures | None:
    """By the clock of the truth, whose lines of all drones are of the same moments."""
    near_m = stage.shift.settings.look.radius_m + ON_STATION_M
    viewing: dict[str, set[int]] = {}
    there: dict[str, set[int]] = {}
    for drone in (told.first, told.second):
        spans = looking_spans(heard.dispatches, drone, told.contact, _end_ns(heard))
        seen = [t for t in truths.get(drone, []) if t.in_picture and any(a <= t.at_ns < b for a, b in spans)]
        viewing[drone] = {t.at_ns for t in seen}
        there[drone] = {t.at_ns for t in seen if t.followed_m is not None and t.followed_m <= near_m}
    arrived, left = min(there[told.first], default=None), max(there[told.second], default=None)
    if arrived is None or left is None:
        return None
    overlap_s = overlap_there_s = unwatched_s = 0.0
    moments = sorted({t.at_ns for of_one in truths.values() for t in of_one if arrived <= t.at_ns <= left})
    for a, b in pairwise(moments):
        step_s = (b - a) / NS_PER_S
        overlap_s += step_s * all(a in viewing[d] for d in viewing)
        overlap_there_s += step_s * all(a in there[d] for d in there)
        unwatched_s += step_s * (not any(a in viewing[d] for d in viewing))
    return ReliefFigures(told.first, told.second, round(overlap_s, 1), round(overlap_there_s, 1), round(unwatched_s, 1))


# ------------------------------------------------------------------------------------------------------------- the looks


def _look(
    stage: ShiftStage, told: Told, heard: Heard, one: Launched, truths: dict[str, list[DroneTruth]]
) -> LookFigures:
    offer, pressed_ns = one.offer, one.given.pressed_ns
    executing = [t.at_ns for t in heard.tasks if t.plan_id == offer.plan_id and t.phase.value == "executing"]
    begun_s = round((min(executing) - pressed_ns) / NS_PER_S, 2) if executing else None
    spans = looking_spans(heard.dispatches, offer.drone, told.contact, _end_ns(heard))
    near_m = max(stage.shift.settings.look.radius_m, offer.wish.radius_m) + ON_STATION_M
    known = [t for t in truths.get(offer.drone, []) if t.followed_m is not None]
    told_ns = [t.at_ns for t in heard.telemetry.get(offer.drone, [])]
    modes = [t.mode for t in heard.telemetry.get(offer.drone, [])]
    # A drone that has gone on is followed by the dispatcher's word a moment later.
    looking = [
        t for t in known if any(a <= t.at_ns < b for a, b in spans)
        and modes[max(0, bisect_right(told_ns, t.at_ns + LATE_NS) - 1)] == "GUIDED"
    ]
    there = next((i for i, t in enumerate(looking) if t.followed_m is not None and t.followed_m <= near_m), None)
    held = looking[there:] if there is not None else []
    weights = np.array([min(GAP_S, (b.at_ns - a.at_ns) / NS_PER_S) for a, b in pairwise(held)])
    total = float(weights.sum())

    def share(of: list[bool]) -> float | None:
        return round(float((weights * np.array(of[:-1])).sum()) / total, 3) if total > 0 else None

    return LookFigures(
        drone=offer.drone, kind=offer.wish.kind, press_to_take_off_s=None if offer.airborne else begun_s,
        press_to_begin_s=begun_s, arrives_predicted_s=offer.arrives_s,
        arrives_s=round((held[0].at_ns - pressed_ns) / NS_PER_S, 1) if held else None, looked_s=round(total, 1),
        in_picture_share=share([t.in_picture for t in held]), in_middle_share=share([t.in_middle for t in held]),
        clear_share=share([t.clear for t in held]),
        nearest_m=min((t.followed_m for t in held if t.followed_m is not None), default=None),
    )


# ------------------------------------------------------------------------------------------------------------ the drones


def _drone(stage: ShiftStage, told: Told, heard: Heard, drone: str, truths: list[DroneTruth]) -> DroneFigures:
    words = heard.telemetry.get(drone, [])
    offers = [one.offer for one in told.launched if one.offer.drone == drone]
    flown = [t for t in words if t.armed]
    last = words[-1] if words else None
    took_off_with = next((o for o in offers if not o.airborne), None)
    plans = {o.plan_id for o in offers}
    of_it = [t for t in heard.tasks if t.drone == drone and t.plan_id in plans]
    ends = [t for t in of_it if t.phase.is_over]
    home = stage.shift.sector.frame.point(GroundPosition(*stage.shift.drone(drone).home))
    from_home = float(np.hypot(truths[-1].east_m - home[0], truths[-1].north_m - home[1])) if truths else None
    used = None
    # Up to the last word before it disarmed: on the ground its battery is swapped.
    if flown and flown[0].battery_percent is not None and flown[-1].battery_percent is not None:
        used = round(flown[0].battery_percent - flown[-1].battery_percent, 1)
    buffers = [o.check.buffer.total_m for o in offers if o.check is not None and o.check.buffer is not None]
    return DroneFigures(
        drone=drone, landed=last is not None and not last.armed and last.link is LinkState.CONNECTED,
        from_home_m=round(from_home, 1) if from_home is not None else None,
        how=f"{ends[-1].phase.value}: {ends[-1].sentence}" if ends else "it never flew" if not flown else "",
        nearest_line_m=min((t.border_m for t in truths), default=None),
        buffer_m=round(min(buffers), 1) if buffers else None,
        predicted_percent=took_off_with.energy_percent if took_off_with is not None else None, used_percent=used,
        predicted_s=round(took_off_with.check.duration_s, 1) if took_off_with and took_off_with.check else None,
        flown_s=round((flown[-1].at_ns - flown[0].at_ns) / NS_PER_S, 1) if flown else None,
        went_as_planned=len(offers) == 1 and bool(ends) and ends[-1].phase.value == "done",
    )


def is_home(d: DroneFigures) -> bool:
    return d.landed and d.from_home_m is not None and d.from_home_m <= AT_HOME_M
