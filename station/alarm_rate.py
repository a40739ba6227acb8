"""How many alarms a person is asked to look at, against what EEMUA 191 and ISA-18.2 call bearable; what a flood is made of.

EEMUA Publication 191: about one alarm in ten minutes on average is very likely acceptable, and ten in ten minutes are the
most that a person can follow; that is a flood, which is over below five. Alarms count when the station raised them: what an
offline node delivers late is looked at then.
"""

from __future__ import annotations

from collections.abc import Iterable

from station.alarm_settings import FloodSettings
from station.alarms import Alarm
from station.picture import AlarmRate, FloodGroup
from wire.clock import NS_PER_S

TEN_MINUTES_NS = 600 * NS_PER_S
SHIFT_NS = 12 * 3600 * NS_PER_S
TARGET_10_MIN = 1.0             # EEMUA 191


class RateKeeper:
    """Times at which alarms were raised within the last shift. running_since_ns: of the store, for the average."""

    def __init__(self, settings: FloodSettings, raised_ns: Iterable[int], running_since_ns: int) -> None:
        self._settings = settings
        self._window_ns = round(settings.minutes * 60 * NS_PER_S)
        self._raised = sorted(raised_ns)
        self._since_ns = running_since_ns
        self._flood = False

    def rate(self, fresh_ns: Iterable[int], alarms: Iterable[Alarm], now_ns: int) -> AlarmRate:
        """fresh_ns: raised since the last call. alarms: the open ones, of which a flood's groups are made."""
        # Times after now are a clock that was set back: they would count for ever.
        self._raised = [t for t in sorted([*self._raised, *fresh_ns]) if now_ns - SHIFT_NS < t <= now_ns]
        in_window = sum(1 for t in self._raised if t > now_ns - self._window_ns)
        limit = self._settings.over_below if self._flood else self._settings.alarms
        self._flood = in_window >= limit
        periods = max(1.0, min(SHIFT_NS, now_ns - self._since_ns) / TEN_MINUTES_NS)
        return AlarmRate(
            per_10_min=sum(1 for t in self._raised if t > now_ns - TEN_MINUTES_NS),
            per_shift=len(self._raised),
            average_10_min=round(len(self._raised) / periods, 2),
            most_10_min=_most(self._raised),
            target_10_min=TARGET_10_MIN,
            flood=self._flood,
            groups=flood_groups(alarms, self._window_ns) if self._flood else (),
        )


def _most(times: list[int]) -> int:
    """The most within any ten minutes."""
    most, first = 0, 0
    for i, t in enumerate(times):
        while t - times[first] >= TEN_MINUTES_NS:
            first += 1
        most = max(most, i - first + 1)
    return most


def flood_groups(alarms: Iterable[Alarm], window_ns: int) -> tuple[FloodGroup, ...]:
    """What waits, by corridor and stretch of time; the most urgent first, then the newest. Contacts are in their alarms."""
    found: dict[tuple[str, int], list[Alarm]] = {}
    for alarm in alarms:
        if alarm.is_unanswered:
            found.setdefault((alarm.corridor or "", alarm.raised_ns // window_ns), []).append(alarm)
    groups = [
        FloodGroup(
            corridor, min(a.raised_ns for a in them), max(max(a.raised_ns, a.last_seen_ns) for a in them),
            min(a.priority for a in them), tuple(a.id for a in them), len({n for a in them for n in a.contacts}),
        )
        for (corridor, _), them in found.items()
    ]
    return tuple(sorted(groups, key=lambda g: (g.priority, -g.ends_ns)))
