"""Questions to what is stored: contacts, detections, alarms and matches, by time, place, class, plate, contact, corridor.

Every answer is a page: rows in an order that does not change, and the place to go on from (keyset, no OFFSET, so that page
1,000 costs what page 1 does and nothing is told twice while new rows come in). A page looks at LOOKED_LIMIT rows at most,
whatever the filter; it may then be short, or empty, and still have a `next`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Generic, TypeVar

import msgspec

from geofences.sector import Sector
from station.alarms import Alarm
from station.matching import Match
from station.matching_plates import clean_plate
from station.picture import AlarmEventView, AlarmState, AlarmView, MatchView, Sentence, TrailPoint
from station.queries_area import Area, QueryError, read_area
from station.subjects import Lane
from wire.units import Covariance2, GroundPosition, ObjectClass

PAGE_LIMIT = 1000
LOOKED_LIMIT = 20_000               # rows that one page looks at
LOOKED_AT_ONCE = 500
TRAIL_PAGE = 5000
EVER_NS = 2**62

T = TypeVar("T")
Limit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)]
Time = Annotated[int, msgspec.Meta(ge=0, le=EVER_NS)]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """rows: newest first. next: give it as `after` for the following rows; null at the end."""

    rows: tuple[T, ...]
    next: str | None


class ContactQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """since_ns, until_ns: seen at any moment between them, UTC nanoseconds. One of box ("south,west,north,east" in degrees),
    circle ("lat,lon,radius_m") and corridor (an id): its trail touches it. plate: signs and case do not matter.
    """

    since_ns: Time = 0
    until_ns: Time = EVER_NS
    box: str = ""
    circle: str = ""
    corridor: str = ""
    object_class: ObjectClass | None = None
    plate: str = ""
    contact: str = ""
    after: str = ""
    limit: Limit = 100


class DetectionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As ContactQuery, by time of capture. contact: the detections that made it. sensor: by its own name on its node."""

    since_ns: Time = 0
    until_ns: Time = EVER_NS
    box: str = ""
    circle: str = ""
    corridor: str = ""
    object_class: ObjectClass | None = None
    plate: str = ""
    contact: str = ""
    node: str = ""
    sensor: str = ""
    after: str = ""
    limit: Limit = 100


class AlarmQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """since_ns, until_ns: raised between them. corridor: of the alarm itself, an id. is_open: true or false."""

    since_ns: Time = 0
    until_ns: Time = EVER_NS
    box: str = ""
    circle: str = ""
    corridor: str = ""
    rule: str = ""
    contact: str = ""
    is_open: bool | None = None
    after: str = ""
    limit: Limit = 100


class MatchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    since_ns: Time = 0
    until_ns: Time = EVER_NS
    contact: str = ""
    subject: str = ""
    after: str = ""
    limit: Limit = 100


class ContactRow(msgspec.Struct, frozen=True):
    """position: the last one. merged_into: it was found to be one with that contact."""

    id: str
    object_class: ObjectClass
    first_seen_ns: int
    last_seen_ns: int
    position: GroundPosition | None
    detections: int
    plate: str | None
    corridors: tuple[str, ...]
    alarms: tuple[str, ...]
    simulated: bool
    merged_into: str | None


class ContactHistory(msgspec.Struct, frozen=True):
    """trail: in order of time, TRAIL_PAGE points at most; trail_next_ns: ask again with it as since_ns; null at the end."""

    contact: ContactRow
    trail: tuple[TrailPoint, ...]
    trail_next_ns: int | None


class DetectionRow(msgspec.Struct, frozen=True):
    """Either position and covariance, or bearing_deg and sigma_deg. simulated: the station is of the training realm."""

    arrival: int
    idx: int
    node: str
    sensor: str
    captured_ns: int
    track: int
    object_class: ObjectClass
    score: float
    confirmed: bool
    position: GroundPosition | None
    covariance: Covariance2 | None
    bearing_deg: float | None
    sigma_deg: float | None
    corridors: tuple[str, ...]
    plate: str | None
    suspect: str | None
    simulated: bool


# ----------------------------------------------------------------------------------------------------------- contacts


_CONTACT = (
    "SELECT c.id, c.object_class, c.first_seen_ns, c.last_seen_ns, c.lat_deg, c.lon_deg, c.detections, c.plate, "
    "c.simulated, c.merged_into FROM contacts c"
)


def find_contacts(mind: sqlite3.Connection, sector: Sector, q: ContactQuery) -> Page[ContactRow]:
    """Raises QueryError."""
    # By R-tree first; the trail itself decides.
    area = read_area(sector, q.box, q.circle, q.corridor)
    where, values = ["c.last_seen_ns >= ?", "c.first_seen_ns <= ?"], [q.since_ns, q.until_ns]
    more: list[object] = list(values)
    if area is not None:
        where.append(
            "c.id IN (SELECT printf('C-%06d', id) FROM contact_place WHERE max_lat >= ? AND min_lat <= ? AND max_lon >= ? "
            "AND min_lon <= ?)"
        )
        more += [area.south, area.north, area.west, area.east]
    if q.object_class is not None:
        where.append("c.object_class = ?")
        more.append(q.object_class.value)
    if q.contact:
        where.append("c.id = ?")
        more.append(q.contact)
    plate = clean_plate(q.plate)
    if plate:
        mind.create_function("clean_plate", 1, lambda text: clean_plate(text), deterministic=True)
        where.append("c.plate IS NOT NULL AND clean_plate(c.plate) = ?")
        more.append(plate)

    def keep(row: tuple[object, ...]) -> bool:
        return area is None or _trail_touches(mind, str(row[0]), area, q.since_ns, q.until_ns)

    def key(row: tuple[object, ...]) -> str:
        return f"{row[3]}:{row[0]}"

    page, following = _page(
        mind, _CONTACT, where, more, "(c.last_seen_ns, c.id)", ("c.last_seen_ns DESC", "c.id DESC"), _place(q.after, str),
        q.limit, keep, key,
    )
    return Page(tuple(contact_row(mind, row) for row in page), following)


def contact_row(mind: sqlite3.Connection, row: Sequence[object]) -> ContactRow:
    contact, object_class, first_ns, last_ns, lat, lon, detections, plate, simulated, merged = row
    corridors = mind.execute("SELECT corridor FROM contact_corridors WHERE contact = ? ORDER BY corridor", (contact,))
    alarms = mind.execute("SELECT id FROM alarms WHERE contact = ? ORDER BY id", (contact,))
    return ContactRow(
        str(contact), ObjectClass(str(object_class)), _int(first_ns), _int(last_ns),
        None if lat is None or lon is None else GroundPosition(_float(lat), _float(lon)), _int(detections),
        None if plate is None else str(plate), tuple(c for (c,) in corridors), tuple(a for (a,) in alarms), bool(simulated),
        None if merged is None else str(merged),
    )


def read_contact(mind: sqlite3.Connection, contact: str, since_ns: int = 0) -> ContactHistory | None:
    """One contact with its trail from a time on; None when there is none."""
    row = mind.execute(f"{_CONTACT} WHERE c.id = ?", (contact,)).fetchone()
    if row is None:
        return None
    points = mind.execute(
        "SELECT lat_deg, lon_deg, at_ns FROM trail WHERE contact = ? AND at_ns >= ? ORDER BY at_ns LIMIT ?",
        (contact, since_ns, TRAIL_PAGE + 1),
    ).fetchall()
    following = int(points[TRAIL_PAGE][2]) if len(points) > TRAIL_PAGE else None
    return ContactHistory(contact_row(mind, row), tuple(TrailPoint(*p) for p in points[:TRAIL_PAGE]), following)


def _trail_touches(mind: sqlite3.Connection, contact: str, area: Area, since_ns: int, until_ns: int) -> bool:
    points = mind.execute(
        "SELECT lat_deg, lon_deg FROM trail WHERE contact = ? AND at_ns BETWEEN ? AND ? ORDER BY at_ns",
        (contact, since_ns, until_ns),
    ).fetchall()
    return area.holds([p[0] for p in points], [p[1] for p in points])


# --------------------------------------------------------------------------------------------------------- detections


_DETECTION = (
    "SELECT d.arrival, d.idx, a.node, d.sensor, d.captured_ns, d.track, d.object_class, d.score, d.confirmed, d.lat_deg, "
    "d.lon_deg, d.ee_m2, d.en_m2, d.nn_m2, d.bearing_deg, d.sigma_deg, d.corridors, d.plate, a.suspect, a.boot "
    "FROM detections d JOIN arrivals a ON a.id = d.arrival"
)


def find_detections(
    inbox: sqlite3.Connection, mind: sqlite3.Connection | None, sector: Sector, q: DetectionQuery, simulated: bool
) -> Page[DetectionRow]:
    """mind: needed for a query by contact. Raises QueryError."""
    area = read_area(sector, q.box, q.circle, q.corridor)
    where, values = ["d.captured_ns >= ?", "d.captured_ns <= ?"], list[object]((q.since_ns, q.until_ns))
    for column, wanted in (
        ("d.object_class", q.object_class.value if q.object_class else ""), ("a.node", q.node), ("d.sensor", q.sensor),
    ):
        if wanted:
            where.append(f"{column} = ?")
            values.append(wanted)
    if area is not None:
        where.append("d.lat_deg BETWEEN ? AND ? AND d.lon_deg BETWEEN ? AND ?")
        values += [area.south, area.north, area.west, area.east]
    plate = clean_plate(q.plate)
    if plate:
        inbox.create_function("clean_plate", 1, lambda text: clean_plate(text), deterministic=True)
        where.append("d.plate IS NOT NULL AND clean_plate(d.plate) = ?")
        values.append(plate)
    tracks = _tracks_of(mind, q.contact) if q.contact else None

    def keep(row: tuple[object, ...]) -> bool:
        if tracks is not None and not {f"{row[2]}/{row[19]}/{s}/{row[5]}" for s in (row[3], f"{row[2]}/{row[3]}")} & tracks:
            return False
        return area is None or bool(area.holds_each([_float(row[9])], [_float(row[10])])[0])

    def key(row: tuple[object, ...]) -> str:
        return f"{row[4]}:{row[0]}:{row[1]}"

    page, following = _page(
        inbox, _DETECTION, where, values, "(d.captured_ns, d.arrival, d.idx)",
        ("d.captured_ns DESC", "d.arrival DESC", "d.idx DESC"), _place(q.after, int, int), q.limit, keep, key,
    )
    return Page(tuple(_detection_row(row, simulated) for row in page), following)


def _tracks_of(mind: sqlite3.Connection | None, contact: str) -> set[str]:
    """The tracks of a contact and of those that were merged into it, "node/boot/sensor/track"."""
    if mind is None:
        return set()
    return {t for (t,) in mind.execute(
        "SELECT track FROM contact_tracks WHERE contact = ?1 OR contact IN (SELECT id FROM contacts WHERE merged_into = ?1)",
        (contact,),
    )}


def _detection_row(row: Sequence[object], simulated: bool) -> DetectionRow:
    (arrival, idx, node, sensor, captured_ns, track, object_class, score, confirmed, lat, lon, ee, en, nn, bearing, sigma,
     corridors, plate, suspect, _) = row
    placed = lat is not None and lon is not None
    return DetectionRow(
        _int(arrival), _int(idx), str(node), str(sensor), _int(captured_ns), _int(track), ObjectClass(str(object_class)),
        _float(score), bool(confirmed), GroundPosition(_float(lat), _float(lon)) if placed else None,
        Covariance2(_float(ee), _float(en), _float(nn)) if placed else None,
        None if bearing is None else _float(bearing), None if sigma is None else _float(sigma),
        msgspec.json.decode(str(corridors), type=tuple[str, ...]), None if plate is None else str(plate),
        None if suspect is None else str(suspect), simulated,
    )


# ------------------------------------------------------------------------------------------------- alarms and matches


def find_alarms(mind: sqlite3.Connection, sector: Sector, q: AlarmQuery) -> Page[AlarmView]:
    """Raises QueryError."""
    area = read_area(sector, q.box, q.circle, "")
    where, values = ["a.raised_ns >= ?", "a.raised_ns <= ?"], list[object]((q.since_ns, q.until_ns))
    for column, wanted in (("a.corridor", q.corridor), ("a.rule", q.rule)):
        if wanted:
            where.append(f"{column} = ?")
            values.append(wanted)
    if q.is_open is not None:
        where.append("a.open = ?")
        values.append(int(q.is_open))
    read: dict[str, Alarm] = {}

    def keep(row: tuple[object, ...]) -> bool:
        if area is None and not q.contact:
            return True
        alarm = read[str(row[0])] = read_alarm(mind, str(row[0]))
        if q.contact and q.contact not in alarm.contact_ids:
            return False
        place = alarm.position
        return area is None or (place is not None and area.holds([place.lat_deg], [place.lon_deg]))

    def key(row: tuple[object, ...]) -> str:
        return f"{row[1]}:{row[0]}"

    page, following = _page(
        mind, "SELECT a.id, a.raised_ns FROM alarms a", where, values, "(a.raised_ns, a.id)",
        ("a.raised_ns DESC", "a.id DESC"), _place(q.after, str), q.limit, keep, key,
    )
    views = (read.get(str(row[0])) or read_alarm(mind, str(row[0])) for row in page)
    return Page(tuple(a.view() for a in views), following)


def read_alarm(mind: sqlite3.Connection, alarm_id: str) -> Alarm:
    """An alarm with all that became of it. Raises KeyError where there is none."""
    row = mind.execute("SELECT state FROM alarms WHERE id = ?", (alarm_id,)).fetchone()
    if row is None:
        raise KeyError(alarm_id)
    alarm = msgspec.msgpack.decode(row[0], type=Alarm)
    alarm.events = [
        AlarmEventView(AlarmState(state), at_ns, person, reason)
        for state, at_ns, person, reason in mind.execute(
            "SELECT state, at_ns, person, reason FROM alarm_events WHERE alarm = ? ORDER BY number", (alarm_id,)
        )
    ]
    return alarm


def find_matches(mind: sqlite3.Connection, q: MatchQuery, lanes: frozenset[Lane]) -> Page[MatchView]:
    """Only matches of these lanes."""
    where, values = ["m.asked_ns >= ?", "m.asked_ns <= ?"], list[object]((q.since_ns, q.until_ns))
    for column, wanted in (("m.contact", q.contact), ("m.subject", q.subject)):
        if wanted:
            where.append(f"{column} = ?")
            values.append(wanted)

    def key(row: tuple[object, ...]) -> str:
        return f"{row[1]}:{row[0]}"

    page, following = _page(
        mind, "SELECT m.id, m.asked_ns, m.state FROM matches m", where, values, "(m.asked_ns, m.id)",
        ("m.asked_ns DESC", "m.id DESC"), _place(q.after, str), q.limit, lambda row: _match(row[2]).lane in lanes, key,
    )
    return Page(tuple(_match(row[2]).view() for row in page), following)


def _match(state: object) -> Match:
    assert isinstance(state, bytes)
    return msgspec.msgpack.decode(state, type=Match)


# ---------------------------------------------------------------------------------------------------------- the pages


def all_pages(find: Callable[[str], Page[T]], most: int) -> Iterator[T]:
    """Every row of a query from its first page on, `most` at most. find: a page, by its `after`."""
    after, told = "", 0
    while True:
        page = find(after)
        for row in page.rows:
            if told >= most:
                return
            told += 1
            yield row
        if page.next is None:
            return
        after = page.next


def _page(
    db: sqlite3.Connection, select: str, where: list[str], values: list[object], columns: str, order: tuple[str, ...],
    after: tuple[object, ...] | None, limit: int, keep: Callable[[tuple[object, ...]], bool],
    key: Callable[[tuple[object, ...]], str],
) -> tuple[list[tuple[object, ...]], str | None]:
    """Rows that are kept, and where to go on. columns: the key, a row value that `order` sorts by."""
    kept: list[tuple[object, ...]] = []
    looked = 0
    while True:
        going_on = [f"{columns} < ({', '.join('?' * len(after))})"] if after else []
        rows = db.execute(
            f"{select} WHERE {' AND '.join([*where, *going_on])} ORDER BY {', '.join(order)} LIMIT ?",
            [*values, *(after or ()), LOOKED_AT_ONCE],
        ).fetchall()
        for k, row in enumerate(rows):
            looked += 1
            if keep(row):
                kept.append(row)
            is_last = k == len(rows) - 1 and len(rows) < LOOKED_AT_ONCE
            if (len(kept) >= limit or looked >= LOOKED_LIMIT) and not is_last:
                return kept, key(row)
        if len(rows) < LOOKED_AT_ONCE:
            return kept, None
        first, *rest = key(rows[-1]).split(":")
        after = (int(first), *((int(r) for r in rest) if len(rest) > 1 else rest))


def _place(after: str, *kinds: type) -> tuple[object, ...] | None:
    """What stands in `after`: a time, then values of these kinds. Raises QueryError for what no page has given."""
    if not after:
        return None
    first, *rest = after.split(":")
    try:
        if len(rest) != len(kinds):
            raise ValueError
        return (int(first), *(kind(value) for kind, value in zip(kinds, rest, strict=True)))
    except ValueError:
        text = f'after "{after}": give what the page before it said as next'
        raise QueryError(Sentence("refused.query", {"error": text}), text) from None


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _float(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
