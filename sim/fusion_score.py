"""What fusion makes of a film of sightings, against its truth."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

from geofences.corridors import CorridorMap
from geofences.geodesy import Array
from sim.gospa import gospa
from sim.sightings import Film, Truth
from station.contacts import Contact
from station.fusion import Fusion
from station.fusion_lag import then
from station.kalman import Estimate, predict
from wire.clock import NS_PER_S

JUDGED_AFTER_NS = 1_500_000_000     # when nearly every frame of that moment has arrived
LIVE_NS = 3 * NS_PER_S              # as on the screen (station.views)
LEAST_DETECTIONS = 3                # as for an alarm (station.rules)
GONE_NS = 10 * NS_PER_S             # out of sight for so long, and whoever comes back may be anybody
SEEN_LATELY_NS = 1 * NS_PER_S       # a walker whom nobody has seen for longer is not asked about


@dataclass(slots=True)
class FusionScore:
    """gospa_m: the metric at each moment. one: at how many of `asked` moments and walkers exactly one contact was his.
    switches: how often the next contact of a walker was another. walker_s: seconds of walkers in sight. squares: normalised
    squared errors of position (NEES, 2 degrees of freedom), of all moments. errors_m.
    """

    gospa_m: list[float] = field(default_factory=list)
    one: int = 0
    asked: int = 0
    switches: int = 0
    walker_s: float = 0.0
    squares: dict[int, list[float]] = field(default_factory=dict)
    errors_m: list[float] = field(default_factory=list)
    contacts: int = 0


def score(film: Film, corridors: CorridorMap) -> FusionScore:
    """Run fusion over the film in its order of arrival, and judge each moment a second and a half after it."""
    fusion, result = Fusion(corridors), FusionScore()
    judge = _Judge(film, result)
    truths = deque(film.truths)
    for frame in film.frames:
        while truths and frame.received_ns > truths[0].at_ns + JUDGED_AFTER_NS:
            judge.moment(truths.popleft(), fusion)
        fusion.observe(frame)
        for seen in frame.seen:
            contact = fusion.of_track(seen.track)
            if contact is not None:
                judge.note(contact, film.owners[seen.track, frame.captured_ns], frame.captured_ns)
    result.contacts = fusion.next_number - 1
    return result


class _Judge:
    def __init__(self, film: Film, result: FusionScore) -> None:
        self._result = result
        self._seen: dict[int, deque[tuple[int, int]]] = {}      # by contact: whose detections, when
        self._last_seen_ns: dict[int, int] = {}
        self._in_sight_ns: dict[int, int] = {}
        self._had: dict[int, int] = {}                          # by walker: his last contact

    def note(self, contact: Contact, walker: int, at_ns: int) -> None:
        self._seen.setdefault(contact.number, deque()).append((at_ns, walker))
        self._last_seen_ns[walker] = max(at_ns, self._last_seen_ns.get(walker, 0))

    def moment(self, truth: Truth, fusion: Fusion) -> None:
        live: dict[int, tuple[Array, Array]] = {}
        owned: dict[int, list[int]] = {}
        for contact in fusion.contacts.values():
            where = _where(contact, fusion, truth.at_ns)
            if where is None:
                continue
            live[contact.number] = where
            owner = self._owner(contact, truth.at_ns)
            if owner is not None:
                owned.setdefault(owner, []).append(contact.number)
        r = self._result
        places = list(truth.walkers.values())
        r.gospa_m.append(gospa(np.array(places), np.array([m for m, _ in live.values()])).distance_m)
        for walker, place in truth.walkers.items():
            r.walker_s += 1.0
            if truth.at_ns - self._in_sight_ns.get(walker, 0) > GONE_NS:
                self._had.pop(walker, None)
            self._in_sight_ns[walker] = truth.at_ns
            if truth.at_ns - self._last_seen_ns.get(walker, 0) > SEEN_LATELY_NS:
                continue
            his = owned.get(walker, [])
            r.asked += 1
            r.one += len(his) == 1
            if not his:
                continue
            best = min(his, key=lambda n: float(np.hypot(*(live[n][0] - place))))
            if walker in self._had and self._had[walker] not in his:
                r.switches += 1
            if walker not in self._had or self._had[walker] not in his:
                self._had[walker] = best
            mean, covariance = live[self._had[walker]]
            off = place - mean
            r.squares.setdefault(walker, []).append(float(off @ np.linalg.solve(covariance, off)))
            r.errors_m.append(float(np.hypot(*off)))

    def _owner(self, contact: Contact, at_ns: int) -> int | None:
        seen = self._seen.get(contact.number)
        if not seen:
            return None
        while seen and seen[0][0] < at_ns - LIVE_NS - JUDGED_AFTER_NS:
            seen.popleft()
        counts = Counter(w for ns, w in seen if at_ns - LIVE_NS < ns <= at_ns)
        if not counts:
            return None
        owner = max(counts, key=lambda w: (counts[w], w))
        return owner if owner >= 0 else None


def _where(contact: Contact, fusion: Fusion, at_ns: int) -> tuple[Array, Array] | None:
    """Place and covariance at a moment, of a contact that was on the screen then."""
    step = then(contact, at_ns)
    if step is None or step.at_ns < at_ns - LIVE_NS or contact.detections < LEAST_DETECTIONS:
        return None
    mean, covariance = fusion.believed(contact, step)
    ahead = predict(Estimate(mean, covariance, step.at_ns), at_ns, contact.motion)
    return ahead.mean[:2], ahead.covariance[:2, :2]
