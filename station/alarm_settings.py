"""The sector's alarm rules as they stand in `alarms.toml` beside the sector file: read, checked, refused in words.

A sector without that file has the rules of DEFAULT_ALARMS: entry of a corridor in its hours, and the technical ones.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import msgspec

from geofences.sector import Sector
from wire.settings import load_settings, refuse
from wire.units import ObjectClass

FILE = "alarms.toml"
PRIORITIES = (1, 2, 3)
OWN_PRIORITY = 0                # the corridor's
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_CLOCK = re.compile(r"(\d{2}):(\d{2})")


class RuleKind(StrEnum):
    """What a rule about a contact looks at first; each may be narrowed by any of the other conditions."""

    CORRIDOR_ENTRY = "corridor_entry"
    PARTY = "party"
    DIRECTION = "direction"
    SPEED = "speed"
    LOITERING = "loitering"
    BORDER_APPROACH = "border_approach"
    BORDER_CROSSING = "border_crossing"


class Direction(StrEnum):
    """Outbound leaves our side, inbound comes to it. Neither is the usual one: people are taken out as they are let in."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class MeasuredBy(StrEnum):
    """BORDER: nearer to or further from the line. CORRIDOR: along its centre line, towards the end nearer to the border."""

    BORDER = "border"
    CORRIDOR = "corridor"


AT_BORDER = frozenset({RuleKind.BORDER_APPROACH, RuleKind.BORDER_CROSSING})


class RuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule: every condition that it names must hold.

    priority: 1 to 3; 0 is the corridor's own. corridors: ids; empty for all of them. anywhere: also outside of them (rules
    at the border always look everywhere, unless they name corridors). hours: local time; empty for the corridor's own
    alarm hours, or always where the contact is in none. classes: empty for all. party_at_least: how many go together.
    direction, measured_by: see there. speed_at_least_m_s, for_s: held so long. within_m, for_s: stays within that radius.
    border_within_m, arrives_within_s: of the line, and at the present pace; 0 asks for nothing.
    asks_again: an alarm that a person has taken already asks once more when this rule speaks.
    """

    id: str
    kind: RuleKind
    priority: int = OWN_PRIORITY
    corridors: tuple[str, ...] = ()
    anywhere: bool = False
    hours: tuple[str, str] | None = None
    classes: tuple[ObjectClass, ...] = ()
    party_at_least: int = 1
    direction: Direction | None = None
    measured_by: MeasuredBy = MeasuredBy.BORDER
    speed_at_least_m_s: float = 0.0
    for_s: float = 0.0
    within_m: float = 0.0
    border_within_m: float = 0.0
    arrives_within_s: float = 0.0
    asks_again: bool = False

    @property
    def minutes(self) -> tuple[int, int] | None:
        """Of the local day; None where the corridor's own hours count."""
        return None if self.hours is None else (_minute(self.hours[0]), _minute(self.hours[1]))

    @property
    def looks_everywhere(self) -> bool:
        return self.anywhere or (self.kind in AT_BORDER and not self.corridors)


class FaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A technical alarm. after_s: how long the fault lasts before it is one."""

    priority: int
    after_s: float
    enabled: bool = True


class CoverageFaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Corridors of this priority or a more urgent one, in their alarm hours, that no sensor has seen for after_s.

    corridors: by id, the seconds of those that have a time of their own, whatever their priority is.
    """

    priority: int = 3
    after_s: float = 1800.0
    corridors_to_priority: int = 1
    enabled: bool = True
    corridors: dict[str, float] = {}

    def allows_s(self, corridor: str, priority: int) -> float | None:
        """How long nobody may see it; None where that is no fault."""
        return self.corridors.get(corridor, self.after_s if priority <= self.corridors_to_priority else None)


class TechnicalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """team_overdue: after_s beyond the expected arrival. notifier_dead: told nobody for so long, though it was tried.

    drone_trouble: in the air and not heard (which takes 10 s to be said), or without a position.
    """

    sensor_blind: FaultSettings = FaultSettings(3, 10.0)
    node_silent: FaultSettings = FaultSettings(2, 10.0)         # it may take several cameras with it
    clock_wrong: FaultSettings = FaultSettings(3, 0.0)
    position_untrusted: FaultSettings = FaultSettings(3, 0.0)   # the node has waited before it says so
    team_overdue: FaultSettings = FaultSettings(2, 300.0)
    no_coverage: CoverageFaultSettings = CoverageFaultSettings()
    notifier_dead: FaultSettings = FaultSettings(2, 60.0)
    drone_trouble: FaultSettings = FaultSettings(2, 2.0)


class EscalationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds unanswered until each stage: the first goes to the supervisor, each further one tells again."""

    priority_1_s: tuple[float, ...] = (60.0,)
    priority_2_s: tuple[float, ...] = ()
    priority_3_s: tuple[float, ...] = ()

    def stages_s(self, priority: int) -> tuple[float, ...]:
        return (self.priority_1_s, self.priority_2_s, self.priority_3_s)[priority - 1]


class FloodSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """EEMUA 191: a flood begins at 10 alarms in 10 minutes, and is over below 5."""

    alarms: int = 10
    over_below: int = 5
    minutes: float = 10.0


class AlarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """alarms.toml as a whole."""

    rules: tuple[RuleSettings, ...] = (RuleSettings("corridor_entry", RuleKind.CORRIDOR_ENTRY),)
    technical: TechnicalSettings = TechnicalSettings()
    escalation: EscalationSettings = EscalationSettings()
    flood: FloodSettings = FloodSettings()


DEFAULT_ALARMS = AlarmSettings()


def load_alarm_settings(sector_file: Path, sector: Sector) -> AlarmSettings:
    """Read and check alarms.toml beside a sector file. Raises wire.settings.SettingsError with file, line and key."""
    path = sector_file.with_name(FILE)
    if not path.exists():
        return DEFAULT_ALARMS
    settings = load_settings(path, AlarmSettings)
    corridors = {c.id for c in sector.corridor_set.corridors}
    taken: set[str] = set()
    for i, rule in enumerate(settings.rules):
        _check_rule(path, i, rule, corridors, taken)
        taken.add(rule.id)
    _check_technical(path, settings.technical, corridors)
    _check_escalation(path, settings.escalation)
    flood = settings.flood
    if flood.alarms < 2 or not 1 <= flood.over_below <= flood.alarms:
        raise refuse(path, ["flood", "alarms"], f"{flood.alarms}, over below {flood.over_below}: give for example 10 and 5")
    if flood.minutes <= 0:
        raise refuse(path, ["flood", "minutes"], f"{flood.minutes}: give more than 0, for example 10.0")
    return settings


def _check_rule(path: Path, i: int, rule: RuleSettings, corridors: set[str], taken: set[str]) -> None:
    def no(key: str, sentence: str) -> Exception:
        return refuse(path, ["rules", i, key], sentence)

    if not _ID.fullmatch(rule.id):
        raise no("id", f'"{rule.id}": an id has up to 40 small letters, digits, - and _')
    if rule.id in taken:
        raise no("id", f'"{rule.id}" is taken by an earlier rule')
    if rule.priority not in (OWN_PRIORITY, *PRIORITIES):
        raise no("priority", f"{rule.priority}: give 1 (first), 2 or 3, or 0 for the corridor's own")
    if rule.priority == OWN_PRIORITY and rule.looks_everywhere:
        raise no("priority", "this rule also looks outside of corridors, which have no priority: give 1, 2 or 3")
    for corridor in rule.corridors:
        if corridor not in corridors:
            raise no("corridors", f'"{corridor}" is no corridor of this sector; it has {", ".join(sorted(corridors))}')
    if rule.anywhere and rule.corridors:
        raise no("anywhere", "true, and corridors are named: one or the other")
    for time in rule.hours or ():
        if not _is_clock(time):
            raise no("hours", f'"{time}": give local time as "HH:MM", up to "24:00"')
    if rule.party_at_least < 1:
        raise no("party_at_least", f"{rule.party_at_least}: a party is 1 or more")
    for key in ("speed_at_least_m_s", "for_s", "within_m", "border_within_m", "arrives_within_s"):
        if getattr(rule, key) < 0:
            raise no(key, f"{getattr(rule, key)}: give 0 or more")
    needed = {
        RuleKind.PARTY: (rule.party_at_least >= 2, "party_at_least", "2 or more, for example 4"),
        RuleKind.DIRECTION: (rule.direction is not None, "direction", '"outbound" or "inbound"'),
        RuleKind.SPEED: (rule.speed_at_least_m_s > 0, "speed_at_least_m_s", "metres a second, for example 8.0"),
        RuleKind.LOITERING: (
            rule.within_m > 0 and rule.for_s > 0, "within_m" if rule.within_m <= 0 else "for_s",
            "within_m and for_s, for example 25.0 and 600.0",
        ),
        RuleKind.BORDER_APPROACH: (rule.border_within_m > 0, "border_within_m", "metres, for example 200.0"),
    }
    fits, key, example = needed.get(rule.kind, (True, "", ""))
    if not fits:
        raise no(key, f'a rule of kind "{rule.kind.value}" needs it: give {example}')


def _check_technical(path: Path, t: TechnicalSettings, corridors: set[str]) -> None:
    for name in TechnicalSettings.__struct_fields__:
        fault = getattr(t, name)
        if fault.priority not in PRIORITIES:
            raise refuse(path, ["technical", name, "priority"], f"{fault.priority}: give 1 (first), 2 or 3")
        if fault.after_s < 0:
            raise refuse(path, ["technical", name, "after_s"], f"{fault.after_s}: give 0 or more seconds")
    if t.no_coverage.corridors_to_priority not in PRIORITIES:
        raise refuse(
            path, ["technical", "no_coverage", "corridors_to_priority"],
            f"{t.no_coverage.corridors_to_priority}: give 1 (only the first), 2 or 3 (all)",
        )
    for corridor, seconds in t.no_coverage.corridors.items():
        where: list[str | int] = ["technical", "no_coverage", "corridors", corridor]
        if corridor not in corridors:
            raise refuse(path, where, f"it is no corridor of this sector, which has {', '.join(sorted(corridors))}")
        if seconds < 0:
            raise refuse(path, where, f"{seconds}: give 0 or more seconds")


def _check_escalation(path: Path, e: EscalationSettings) -> None:
    if not e.priority_1_s:
        raise refuse(path, ["escalation", "priority_1_s"], "empty: priority 1 always goes to the supervisor; give [60.0]")
    for priority in PRIORITIES:
        stages = e.stages_s(priority)
        if any(s <= 0 for s in stages) or list(stages) != sorted(set(stages)):
            raise refuse(
                path, ["escalation", f"priority_{priority}_s"],
                f"{list(stages)}: give seconds that grow from stage to stage, for example [60.0, 300.0]",
            )


def _is_clock(text: str) -> bool:
    return _CLOCK.fullmatch(text) is not None and int(text[3:]) < 60 and _minute(text) <= 1440


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
