"""The watchlist: a million records, and whether its questions are the right ones and its bits what they say.

Speed: one contact update after another through station.questions, against a list of a million sealed records on the disk,
two plates in a hundred listed, forty reports running; the time of `consider` and `ask`. The peer is a loop over all
subjects, as the first version of the station had it, over a thousand of them.

Quality: a generated population with known truth (benchmarks/watchlist_population.py) passes; officers answer for a third of
it, weights are learned from their answers and accepted, and then everything is measured on the rest, which nobody has
learned from. The list has 20,000 records there, of which 400 belong to people who ever come.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import psutil

from benchmarks.form import Figure, Peer, figure
from benchmarks.watchlist_population import CORRIDORS, Group, Population, Wanted
from geofences.corridors import make_corridor_set
from geofences.sector import Sector, load_sector
from station.contacts import Contact
from station.kalman import Estimate
from station.matching import Match
from station.matching_plates import clean_plate
from station.matching_score import score
from station.matching_traffic import traffic_of
from station.picture import MatchState
from station.questions import Questions, sighting_of
from station.record import Record
from station.rules import AlarmDesk
from station.settings import StationSettings, load_station_settings
from station.subjects import Category, KnownVehicle, Report
from station.watchlist import office
from station.watchlist_file import Draft, Watchlist
from station.watchlist_learning import calibration_error, make_proposal
from station.watchlist_reader import ListReader
from wire.clock import NS_PER_S, SteppedClock
from wire.units import ObjectClass

ROOT = Path(__file__).resolve().parents[1]
NOW_NS = 1_780_000_000 * NS_PER_S
MILLION, AT_ONCE = 1_000_000, 20_000
UPDATES, UPDATES_A_CONTACT = 30_000, 10
LISTED, LEARNED_FROM, TRIED_ON = 20_000, 60_000, 120_000
SEEDS = (11, 12, 13)
OFFICER_ERRS = 0.02
CURVE: list[tuple[float, bool]] = []        # of the last run, for `draw`


# ------------------------------------------------------------------------------------------------------------ a station


@contextmanager
def station() -> Iterator[tuple[StationSettings, Sector, SteppedClock]]:
    """A station of its own in a temporary folder, with the population's corridors."""
    with TemporaryDirectory(prefix="tw-bench-") as name:
        file = Path(name) / "station.toml"
        sector_file = ROOT / "configs" / "sectors" / "laobao" / "sector.toml"
        file.write_text(
            f'sector = "{sector_file}"\nrealm = "training"\ndata_dir = "data"\n[inbox]\nbind = "tcp://127.0.0.1:5599"\n'
            '[web]\nhost = "127.0.0.1"\nport = 5598\n'
        )
        sector = load_sector(sector_file)
        line = sector.corridor_set.corridors[0]
        lines = tuple(msgspec.structs.replace(line, id=c, name=c) for c in CORRIDORS)
        sector = replace(sector, corridor_set=make_corridor_set(sector.id, lines))
        yield load_station_settings(file), sector, SteppedClock(NOW_NS)


def fill(watchlist: Watchlist, drafts: Iterator[Draft], count: int) -> None:
    """Nominate and approve, in two names, a part at a time."""
    for begin in range(0, count, AT_ONCE):
        part = [next(drafts) for _ in range(min(AT_ONCE, count - begin))]
        watchlist.approve(watchlist.add(part, "lan"), "minh", lambda _: None)


# --------------------------------------------------------------------------------------------------------------- speed


def speed() -> dict[str, Figure]:
    chance = np.random.default_rng(5)
    with station() as (settings, sector, clock):
        watchlist = Watchlist(settings, clock)
        began = time.perf_counter()
        fill(watchlist, _million(chance), MILLION)
        filled_s = time.perf_counter() - began
        for i in range(40):
            hours = 1 + i % 3
            until_ns = NOW_NS + hours * 3600 * NS_PER_S
            watchlist.add_report(
                Report("", f"S-{i + 1:06d}", "Binh", CORRIDORS[i % 8], None, 100.0, NOW_NS, until_ns, 0)
            )
        started, resident = _start(settings, sector, clock)
        record = Record(settings, clock)
        questions = Questions(settings, sector, clock, record, (), 1)
        desk = AlarmDesk(sector)
        questions.ask(_fusion({}), desk, clock.utc_ns())
        wall, processor, asking = _updates(questions, desk, clock, chance, watchlist)
        size_mb = settings.watchlist_db.stat().st_size / 1e6
        peer = _loop_over_all(settings, sector, clock, watchlist)
        picked = _picked_up(questions, desk, clock, watchlist)
        asked = len(questions.matches)
        questions.close()
        record.close()
        watchlist.close()
    how = (
        f"{UPDATES} contact updates, {UPDATES_A_CONTACT} a contact, 55 % with a plate, 2 % of these listed; 40 reports; "
        f"{asked} questions asked, each with its line on the disk; list of {MILLION:,} records, {size_mb:.0f} MB"
    )
    return {
        "update_p99_ms": figure(
            [_percentile(wall, 99)], "ms", f"wall time, {how}", "< 2.0",
            Peer("a loop over 1,000 subjects", float(f"{peer:.3g}")),
        ),
        "update_p99_processor_ms": figure([_percentile(processor, 99)], "ms", "processor time of the same", "< 2.0"),
        "update_p50_ms": figure([_percentile(wall, 50)], "ms", "wall time, the same"),
        "update_quiet_p99_ms": figure(
            [_percentile([w for w, a in zip(wall, asking, strict=True) if not a], 99)], "ms",
            f"wall time, the {asking.count(False)} updates of these that ask nothing",
        ),
        "update_asking_p50_ms": figure(
            [_percentile([w for w, a in zip(wall, asking, strict=True) if a], 50)], "ms",
            f"wall time, the {asking.count(True)} others: they wait until the disk has the line of their questions",
        ),
        "update_max_ms": figure([max(wall)], "ms", "wall time: an update that asks, with its line in the record"),
        "start_s": figure([started], "s", "from the file to an index that answers (watchlist_reader), file in the cache"),
        "index_mb": figure([resident], "MB", "resident memory that is more after loading than before"),
        "change_seen_ms": figure([picked], "ms", "to take up one record that another process has approved"),
        "nominate_approve_per_s": figure([MILLION / filled_s], "1/s", "records nominated and approved, with commits"),
    }


def _million(chance: np.random.Generator) -> Iterator[Draft]:
    """Records with one or two plates from all over the country, one in five without."""
    letters = "ABCDEFGHKLMNPSTUVXYZ"
    while True:
        numbers = chance.integers(0, [89, 20, 100_000], (AT_ONCE, 3)).tolist()
        for province, letter, serial in numbers:
            plate = f"{province + 11}{letters[letter]}-{serial:05d}"
            yield Draft(
                Category.COURIER, f"record {serial}", "seen at the ford twice, by night", "case 12/2026",
                "stop and check the papers", 4_000_000_000 * NS_PER_S, (plate,) if serial % 5 else (),
                (KnownVehicle(plate.replace("-", "1-"), ObjectClass.TRUCK, "blue"),) if serial % 5 == 1 else (),
                ("loi-1",), (1320, 240), 3,
            )


def _start(settings: StationSettings, sector: Sector, clock: SteppedClock) -> tuple[float, float]:
    """Seconds of a start, and megabytes that stay."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    reader = ListReader(settings, clock, sector.frame)
    reader.look(clock.utc_ns())
    assert reader.index.records == MILLION and not reader.trouble
    reader.numbers_of(["74C12345"])
    took = time.perf_counter() - began
    gc.collect()
    resident = (psutil.Process().memory_info().rss - before) / 1e6
    reader.close()
    return took, resident


def _updates(
    questions: Questions, desk: AlarmDesk, clock: SteppedClock, chance: np.random.Generator, watchlist: Watchlist
) -> tuple[list[float], list[float], list[bool]]:
    """Of each update: milliseconds, wall and processor, and whether it asked something."""
    wall, processor, asking = [], [], []
    contacts: dict[int, Contact] = {}
    for number in range(1, UPDATES // UPDATES_A_CONTACT + 1):
        contact = _passer(number, chance, watchlist)
        contacts = {**contacts, number: contact}
        contacts.pop(number - 20, None)
        for k in range(UPDATES_A_CONTACT):
            clock.advance(0.2)
            contact.last_seen_ns = clock.utc_ns()
            if contact.note and k % 3 == 0:
                contact.note_plate(_read(contact.note, chance) if k else contact.note)
            before = len(questions.matches)
            b = time.process_time_ns()      # a call that can take longer than an update: not within the wall time
            a = time.perf_counter_ns()
            questions.consider(contact)
            questions.ask(_fusion(contacts), desk, clock.utc_ns())
            wall.append((time.perf_counter_ns() - a) / 1e6)
            processor.append((time.process_time_ns() - b) / 1e6)
            asking.append(len(questions.matches) > before)
            questions.changed.clear()
        desk.open.clear()
    return wall, processor, asking


class _Passer(Contact):
    """note: the plate that it really has."""

    note: str = ""


def _passer(number: int, chance: np.random.Generator, watchlist: Watchlist) -> _Passer:
    drives = chance.random() < 0.55
    mean = np.array([*chance.uniform(-2000, 2000, 2), 0.0, 0.0])
    group = "vehicle" if drives else "person"
    made = _Passer(number, group, Estimate(mean, np.eye(4), NOW_NS), NOW_NS, NOW_NS, NOW_NS, True)
    made.corridors = (CORRIDORS[number % 8],)
    made.votes = {("car" if drives else "person"): 1.0}
    if drives:
        listed = watchlist.find(int(chance.integers(1, MILLION))) if chance.random() < 0.02 else None
        made.note = listed.plates[0] if listed is not None and listed.plates else f"74C{int(chance.integers(100_000)):05d}"
    return made


def _read(plate: str, chance: np.random.Generator) -> str:
    """Every third reading has a look-alike in it."""
    swap = {"0": "O", "1": "I", "2": "Z", "5": "S", "8": "B", "6": "G"}
    i = int(chance.integers(len(plate)))
    return plate[:i] + swap.get(plate[i], plate[i]) + plate[i + 1 :] if chance.random() < 0.3 else plate


def _picked_up(questions: Questions, desk: AlarmDesk, clock: SteppedClock, watchlist: Watchlist) -> float:
    took = []
    for i in range(5):
        (subject,) = watchlist.add([next(_million(np.random.default_rng(i)))], "lan")
        watchlist.approve([subject], "minh", lambda _: None)
        questions.look_again()
        clock.advance(2.0)
        began = time.perf_counter()
        questions.ask(_fusion({}), desk, clock.utc_ns())
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took)


def _loop_over_all(settings: StationSettings, sector: Sector, clock: SteppedClock, watchlist: Watchlist) -> float:
    """Milliseconds of one contact with a listed plate held against a thousand open records, one after the other."""
    with_scale = Questions(settings, sector, clock, Record(settings, clock), (), 1)
    subjects = [s for s in (watchlist.find(n) for n in range(1, 1001)) if s is not None]
    contact = _passer(1, np.random.default_rng(1), watchlist)
    contact.note_plate("74C12345")
    seen = sighting_of(contact, (), 420)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        for subject in subjects:
            score(subject, seen, with_scale._scale)
        took.append((time.perf_counter() - began) * 1e3)
    with_scale.close()
    return statistics.median(took)


def _fusion(contacts: dict[int, Contact]) -> Any:
    """What `Questions.ask` looks at of the fusion."""
    return SimpleNamespace(contacts=contacts)


def _percentile(values: list[float], q: float) -> float:
    return float(np.percentile(values, q))


# ------------------------------------------------------------------------------------------------------------- quality


@dataclass(slots=True)
class Tally:
    """Of one stretch of traffic. tried: probability and truth of every question, as it was last shown.

    exact_found, exact_false: what a program finds and names wrongly that compares plates letter by letter, as most do.
    """

    contacts: int = 0
    subjects: int = 0
    named: int = 0
    found: int = 0
    found_of_subjects: int = 0
    false: int = 0
    exact_found: int = 0
    exact_false: int = 0
    tried: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.named)

    @property
    def exact_recall(self) -> float:
        return self.exact_found / max(1, self.named)

    @property
    def misses_ratio(self) -> float:
        return (1.0 - self.exact_recall) / max(1e-9, 1.0 - self.recall)

    @property
    def false_per_1000(self) -> float:
        return 1000.0 * self.false / max(1, self.contacts)


class Shift:
    """Questions over a population's traffic, answered by officers who know nearly everything."""

    def __init__(self, seed: int, settings: StationSettings, sector: Sector, clock: SteppedClock) -> None:
        self._settings, self._sector, self._clock = settings, sector, clock
        self._chance = np.random.default_rng(seed + 1000)
        self.people = Population(seed, LISTED, sector.frame)
        self.list = Watchlist(settings, clock)
        fill(self.list, iter(self.people.drafts), LISTED)
        self._record = Record(settings, clock)
        self.questions = Questions(settings, sector, clock, self._record, (), 1)
        self._desk = AlarmDesk(sector)
        self._by_plate = {
            clean_plate(v.plate): n for n, d in enumerate(self.people.drafts, 1) for v in d.vehicles
        }

    def pass_by(self, contacts: int) -> Tally:
        tally = Tally()
        for hour in self.people.hours(self._clock.utc_ns(), contacts, self._sector.utc_offset_min):
            for wanted in hour.reports:
                self._report(wanted)
            begins_ns = self._clock.utc_ns()
            asked = len(self.questions.matches)
            truth: dict[str, int] = {}
            for group in hour.groups:
                self._see(group, tally, truth)
            self._answer(asked, tally, truth)
            self._clock.advance(max(0.0, 3600.0 - (self._clock.utc_ns() - begins_ns) / NS_PER_S))
        return tally

    def _report(self, wanted: Wanted) -> None:
        now_ns = self._clock.utc_ns()
        self.list.add_report(
            Report(
                "", f"S-{wanted.number:06d}", "Binh", CORRIDORS[wanted.corridor], None, 100.0, now_ns,
                now_ns + wanted.hours * 3600 * NS_PER_S, now_ns,
            )
        )
        self.questions.look_again()

    def _see(self, group: Group, tally: Tally, truth: dict[str, int]) -> None:
        at_ns = group.contacts[0].first_seen_ns
        self._clock.advance(max(0.0, (at_ns - self._clock.utc_ns()) / NS_PER_S))
        here = {c.number: c for c in group.contacts}
        for _ in range(2):          # the first is weighed again once all have been seen
            for contact in group.contacts:
                self.questions.consider(contact)
            self.questions.ask(_fusion(here), self._desk, max(at_ns, self._clock.utc_ns()))
            self._clock.advance(2.5)
        self.questions.note_ended(group.contacts)
        self._desk.open.clear()
        self.questions.changed.clear()
        tally.contacts += len(group.contacts)
        for contact, number, named in zip(group.contacts, group.truth, group.named, strict=True):
            truth[contact.id] = number
            exact = {self._by_plate[t] for t in contact.plates if t in self._by_plate}
            tally.exact_found += named and number in exact
            tally.exact_false += len(exact - {number})
            if number:
                asked = (f"S-{number:06d}", contact.id) in self.questions._asked
                tally.subjects += 1
                tally.named += named
                tally.found += named and asked
                tally.found_of_subjects += asked

    def _answer(self, asked: int, tally: Tally, truth: dict[str, int]) -> None:
        """At the end of the hour. Two persons where two are needed; now and then an officer is wrong."""
        for match in list(self.questions.matches.values())[asked:]:
            right = truth.get(match.contact) == int(match.subject.removeprefix("S-"))
            tally.false += not right
            tally.tried.append((match.probability or 0.0, right))
            says = right if self._chance.random() >= OFFICER_ERRS else not right
            answer = MatchState.CONFIRMED if says else MatchState.REJECTED
            for person in ("lan", "minh")[: match.needed if says else 1]:
                self.questions.decide(match.id, answer, person, "asked the patrol", self._clock.utc_ns())

    def learn(self) -> None:
        """Weights from what was answered so far, proposed by one and accepted by another."""
        matches: list[Match] = list(self.questions.matches.values())
        traffic = traffic_of(self.questions._traffic.state)
        with office(self._settings, "lan", self._clock) as desk:
            proposal = make_proposal(desk, self._settings, matches, traffic)
            weights = desk.list.propose_weights(proposal.new, "lan", lambda _: None)
            desk.list.note_weights(weights.version, "accepted", "minh", lambda: None)
        self.questions.look_again()

    def close(self) -> None:
        self.questions.close()
        self._record.close()
        self.list.close()


def quality() -> dict[str, Figure]:
    before: list[Tally] = []
    after: list[Tally] = []
    for seed in SEEDS:
        with station() as (settings, sector, clock):
            shift = Shift(seed, settings, sector, clock)
            before.append(shift.pass_by(LEARNED_FROM))
            shift.learn()
            after.append(shift.pass_by(TRIED_ON))
            shift.close()
    CURVE[:] = [t for tally in after for t in tally.tried]
    how = (
        f"{len(SEEDS)} populations; learned from {LEARNED_FROM:,} contacts each, measured on {TRIED_ON:,} others each; "
        f"list of {LISTED:,}"
    )
    shown = sum(len(t.tried) for t in after)
    return {
        "recall_share": figure(
            [t.recall for t in after], "share", f"of subjects with an identifier in view, asked about; {how}", ">= 0.95",
            Peer("before learning", statistics.median(t.recall for t in before)),
        ),
        "false_per_1000": figure(
            [t.false_per_1000 for t in after], "1/1000", f"questions about somebody else, a contact; {how}", "<= 1.0",
            Peer("before learning", statistics.median(t.false_per_1000 for t in before)),
        ),
        "misses_ratio": figure(
            [t.misses_ratio for t in after], "ratio",
            "subjects in view that a comparison of plates letter by letter misses, over those that this one misses; its "
            "recall beside it",
            peer=Peer("recall of plates compared letter by letter", statistics.median(t.exact_recall for t in after)),
        ),
        "exact_false_per_1000": figure(
            [1000.0 * t.exact_false / t.contacts for t in after], "1/1000",
            "of that comparison: whoever else comes with the plate or is misread as it",
        ),
        "calibration_error": figure(
            [calibration_error(t.tried) for t in after], "share",
            f"expected calibration error, 10 bins, of each population's questions; of all {shown:,} together "
            f"{calibration_error(CURVE):.3f}", "<= 0.05",
            Peer("before learning", statistics.median(calibration_error(t.tried) for t in before)),
        ),
        "questions_shown": figure([shown], "", f"of all populations after learning; {how}", ">= 1000"),
        "of_all_subjects_share": figure(
            [t.found_of_subjects / max(1, t.subjects) for t in after], "share",
            "of subjects that passed, also those that showed no identifier: nobody is named without one",
        ),
    }


def measure() -> dict[str, Figure]:
    return {**speed(), **quality()}


# ------------------------------------------------------------------------------------------------------------ the curve


def draw(file: Path) -> None:
    """The reliability curve of the last run as SVG: how often a question was right, by what was said beforehand."""
    bins = [[t for t in CURVE if min(9, int(t[0] * 10)) == i] for i in range(10)]
    marks = []
    for found in bins:
        if found:
            p, share = (float(np.mean([t[i] for t in found])) for i in (0, 1))
            spread = 1.96 * (max(share * (1 - share), 0.25 / len(found)) / len(found)) ** 0.5
            marks.append((p, share, max(0.0, share - spread), min(1.0, share + spread), len(found)))

    def at(x: float, y: float) -> str:
        return f"{60 + 400 * x:.1f},{440 - 400 * y:.1f}"

    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="500" height="500" font-family="sans-serif" font-size="12">',
        '<rect width="500" height="500" fill="white"/>',
        '<rect x="60" y="40" width="400" height="400" fill="none" stroke="#888"/>',
        f'<polyline points="{at(0, 0)} {at(1, 1)}" stroke="#aaa" stroke-dasharray="4" fill="none"/>',
        f'<text x="60" y="25">{len(CURVE)} questions, expected calibration error {calibration_error(CURVE):.3f}</text>',
        '<text x="190" y="480">probability that was said</text>',
        '<text x="20" y="300" transform="rotate(-90 20 300)">share that was right</text>',
    ]
    lines += [
        f'<text x="{52 + 80 * i}" y="456">{i / 5:.1f}</text><text x="34" y="{444 - 80 * i}">{i / 5:.1f}</text>'
        for i in range(6)
    ]
    for p, share, low, high, count in marks:
        x, y = at(p, share).split(",")
        lines.append(f'<polyline points="{at(p, low)} {at(p, high)}" stroke="#2b6cb0" fill="none"/>')
        lines.append(f'<circle cx="{x}" cy="{y}" r="4" fill="#2b6cb0"/><text x="{float(x) + 7:.0f}" y="{y}">{count}</text>')
    lines.append(f'<polyline points="{" ".join(at(p, s) for p, s, *_ in marks)}" stroke="#2b6cb0" fill="none"/></svg>')
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
