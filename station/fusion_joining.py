"""When two contacts are one, how they become one, and how a person takes one apart again."""

from __future__ import annotations

import math

import numpy as np

from station.contacts import FOREVER, MOTIONS, Contact, Sight, contact_id
from station.fusion_filter import Measured, begin, mixture
from station.fusion_lag import anchor
from station.fusion_offsets import Offsets
from station.kalman import Array, place_at
from station.picture import Sentence
from wire.clock import NS_PER_S

MERGE_AFTER_NS = 2 * NS_PER_S           # two contacts stay this long in one place before they become one
MERGE_SPEED_M_S = 1.5
# Side by side in one frame: two. But a ghost, or two who crossed, may have made it so; if they are in one place since, and
# nobody has seen them side by side for so long, that was then.
APART_HOLDS_NS = 5 * NS_PER_S
MERGE_SQUARE = 9.21                     # 99 % of 2 degrees of freedom
MERGE_FLOOR_M2 = 0.3**2                 # gait, box and ground: never nearer than this, however long it is looked at


def apart_m(a: Contact, b: Contact, at_ns: int) -> Array:
    """(2,) metres from a to b at a time near both."""
    way: Array = place_at(b.estimate, at_ns, b.motion)[0] - place_at(a.estimate, at_ns, a.motion)[0]
    return way


def could_be_one(a: Contact, b: Contact, at_ns: int, offsets: Offsets) -> bool:
    """Whether nothing speaks against the two being one: not seen beside each other, one place, one way of going.

    The errors of a sensor that saw both are the same in both and cancel; those of two sensors count as far as unknown.
    """
    if a.group != b.group or at_ns - max(a.apart.get(b.number, 0), b.apart.get(a.number, 0)) < APART_HOLDS_NS:
        return False
    if min(a.last_seen_ns, b.last_seen_ns) < at_ns - MERGE_AFTER_NS:
        return False
    if np.hypot(*(a.estimate.mean[2:] - b.estimate.mean[2:])) > MERGE_SPEED_M_S:
        return False
    both = mixture(np.array([a.steps[-1].row, b.steps[-1].row]))
    sensors = sorted({*a.slots, *b.slots})
    differ = np.zeros((2, len(sensors), 2))
    for sign, contact, carried in ((1.0, a, both.sensitivity[0]), (-1.0, b, both.sensitivity[1])):
        for slot, sensor in enumerate(contact.slots):
            differ[:, sensors.index(sensor)] += sign * carried[:2, 2 * slot : 2 * slot + 2]
    flat = differ.reshape(2, -1)
    shared = offsets.block(np.array([[offsets.knows(s) for s in sensors]]))[0]
    covariance = both.covariance[:, :2, :2].sum(axis=0) + flat @ shared @ flat.T + np.eye(2) * MERGE_FLOOR_M2
    way = apart_m(a, b, at_ns)
    return float(way @ np.linalg.solve(covariance, way)) <= MERGE_SQUARE


def absorb(older: Contact, younger: Contact, says: Sentence) -> None:
    """Make the older one of both. The tracks' owner and the end of the younger are the caller's."""
    older.note_why(says)
    # The errors of the two may be the same errors: take the better of the two, rather than average them into a lie.
    if np.trace(younger.estimate.covariance[:2, :2]) < np.trace(older.estimate.covariance[:2, :2]):
        older.estimate, older.slots, older.steps = younger.estimate, younger.slots, younger.steps
    older.detections += younger.detections
    older.score_sum += younger.score_sum
    for object_class, votes in younger.votes.items():
        older.votes[object_class] = older.votes.get(object_class, 0.0) + votes
    for text, count in younger.plates.items():
        older.plates[text] = older.plates.get(text, 0) + count
        older.plate_confidence.setdefault(text, younger.plate_confidence.get(text, ()))
    for counts, more in ((older.kinds, younger.kinds), (older.colours, younger.colours)):
        for word, count in more.items():
            counts[word] = counts.get(word, 0) + count
    for sensor, sight in younger.sights.items():
        known = older.sights.get(sensor)
        older.sights[sensor] = sight if known is None else Sight(
            known.count + sight.count, max(known.last_ns, sight.last_ns),
            (known if known.last_ns >= sight.last_ns else sight).covariance,
        )
    older.tracks.update(younger.tracks)
    for corridor, visit in younger.visits.items():
        older.visits.setdefault(corridor, visit)
    older.absorbed += [younger.number, *younger.absorbed]
    for number, at_ns in younger.apart.items():
        older.apart[number] = max(at_ns, older.apart.get(number, 0))
    for number in (older.number, younger.number):
        older.apart.pop(number, None)
    older.joined = sorted({*older.joined, *younger.joined})
    older.kept_from = {s: n for s, n in {**younger.kept_from, **older.kept_from}.items() if n != older.number}
    older.snapshot = older.snapshot or younger.snapshot
    older.first_seen_ns = min(older.first_seen_ns, younger.first_seen_ns)
    older.last_seen_ns = max(older.last_seen_ns, younger.last_seen_ns)
    older.last_received_ns = max(older.last_received_ns, younger.last_received_ns)
    older.simulated = older.simulated or younger.simulated
    younger.merged_into = older.number


def merged_by_itself(younger: Contact, older: Contact) -> Sentence:
    distance_m = float(np.hypot(*(older.estimate.mean[:2] - younger.estimate.mean[:2])))
    return Sentence(
        "contact.why.merged",
        {
            "contact": contact_id(younger.number), "sensors": ", ".join(sorted(younger.sights)),
            "distance_m": round(distance_m, 1), "seconds": MERGE_AFTER_NS // NS_PER_S,
        },
    )


def split_off(contact: Contact, number: int, sensor: str, person: str) -> Contact:
    """A new contact of what one sensor saw of this one, which keeps the rest. Both say who decided it, and stay two.

    The class and its evidence go to both: nobody can say which look was whose.
    """
    tracks = {t: at for t, at in contact.tracks.items() if track_sensor(t) == sensor}
    sight = contact.sights.pop(sensor)
    newest = [s for s in contact.steps if s.sensor == sensor and s.slot >= 0]
    if newest:
        step = newest[-1]
        motions = MOTIONS[contact.group]
        row = begin(
            Measured(step.place_m[None], step.noise_m2[None], step.lever_m[None], np.array([0])), motions
        )[0]
        at_ns, slots = step.at_ns, [sensor]
    else:
        row, at_ns, slots = contact.steps[-1].row.copy(), contact.estimate.at_ns, list(contact.slots)
    other = Contact(
        number, contact.group, contact.estimate, min(contact.first_seen_ns, at_ns), sight.last_ns,
        contact.last_received_ns, contact.simulated, sight.count,
        contact.score_sum * sight.count / max(1, contact.detections),
        votes=dict(contact.votes), sights={sensor: sight}, tracks=tracks, corridors=contact.corridors, slots=slots,
        steps=[anchor(row, at_ns)], snapshot=contact.snapshot,
    )
    contact.detections = max(1, contact.detections - sight.count)
    contact.score_sum -= other.score_sum
    contact.tracks = {t: at for t, at in contact.tracks.items() if t not in tracks}
    contact.steps = [anchor(contact.steps[-1].row, contact.steps[-1].at_ns)]
    keep_apart(contact, other, FOREVER)
    contact.kept_from[sensor] = other.number
    other.kept_from = dict.fromkeys(contact.sights, contact.number)
    for this, that in ((contact, other), (other, contact)):
        says = {"contact": contact_id(that.number), "person": person, "sensor": sensor}
        this.note_apart(Sentence("contact.why.split", {**says}))
    return other


def keep_apart(a: Contact, b: Contact, at_ns: int) -> None:
    a.apart[b.number] = max(at_ns, a.apart.get(b.number, 0))
    b.apart[a.number] = max(at_ns, b.apart.get(a.number, 0))


def track_sensor(track: str) -> str:
    """The sensor of a track that is named node/boot/sensor/number; sensors may have a slash in their name."""
    return "/".join(track.split("/")[2:-1])


def newest_track(contact: Contact, sensor: str) -> str | None:
    """The track of a sensor that was seen last as this contact."""
    return max((t for t in contact.tracks if track_sensor(t) == sensor), key=contact.tracks.__getitem__, default=None)


def newest_covariance(contact: Contact) -> Array:
    """(2, 2) of its newest detection."""
    sight = max(contact.sights.values(), key=lambda s: s.last_ns)
    ee, en, nn = sight.covariance
    return np.array([[ee, en], [en, nn]])


def why_joined(contact: Contact, sensor: str, distance_m: float, square: float) -> Sentence:
    """Why a detection of a sensor that had not seen it yet is of this contact."""
    return Sentence(
        "contact.why.joined",
        {
            "sensor": sensor, "others": ", ".join(sorted(contact.sights)), "distance_m": round(distance_m, 1),
            "sigmas": round(math.sqrt(max(square, 0.0)), 1),
        },
    )
