"""Whether anybody watches: a live screen, in sight, whose sound works. Without one an alarm is a light in an empty room.

The page tells the web server over its live feed (ScreenWord), the web server tells the mind how many such screens there are,
and the mind counts the seconds without one. A web server that says nothing counts as no screen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from wire.clock import NS_PER_S
from wire.settings import refuse

TOLD_WITHIN_NS = 15 * NS_PER_S      # three words of the web server missed
SCREEN_EVERY_S = 5.0                # a page and the web server each speak so often
_CLOCK = re.compile(r"(([01]\d|2[0-3]):[0-5]\d|24:00)")
SCREEN_WITHIN_NS = 15 * NS_PER_S    # a page that was silent for so long is not watched


class WatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[watch] in station.toml. required: false switches the alarm off, and says so in the file.

    after_s: so long without a watched screen. staffed: local time in which somebody has to be there.
    """

    required: bool = True
    after_s: float = 60.0
    staffed: tuple[str, str] = ("00:00", "24:00")


def check_watch(path: Path, watch: WatchSettings) -> None:
    """Raises SettingsError with file, line and key."""
    if watch.after_s < 10:
        raise refuse(path, ["watch", "after_s"], f"{watch.after_s}: a page that is loaded again takes 10 s; give 60.0")
    for time in watch.staffed:
        if _CLOCK.fullmatch(time) is None:
            raise refuse(path, ["watch", "staffed"], f'"{time}": give local time as "HH:MM", up to "24:00"')


class ScreenWord(msgspec.Struct, frozen=True, tag="screen"):
    """What a page says of itself, every SCREEN_EVERY_S over /feed. sound: on, muted or locked (by the browser)."""

    sound: str
    visible: bool

    @property
    def is_watched(self) -> bool:
        return self.sound == "on" and self.visible


@dataclass(slots=True)
class Watch:
    """The mind's side. screens: as last told; None before the web server has said anything."""

    settings: WatchSettings
    utc_offset_min: int
    watched_ns: int
    screens: int | None = None
    told_ns: int = 0

    def note(self, screens: int, now_ns: int) -> None:
        self.screens, self.told_ns = screens, now_ns

    def is_unwatched(self, now_ns: int) -> bool:
        """Whether nobody has watched for as long as the setting allows, in the hours in which somebody must."""
        if not 0 <= now_ns - self.told_ns <= TOLD_WITHIN_NS:
            self.screens = None if self.screens is None else 0
        if self.screens or not self.settings.required or not self._is_staffed(now_ns):
            self.watched_ns = now_ns
        self.watched_ns = min(self.watched_ns, now_ns)      # the clock was set back
        return now_ns - self.watched_ns >= self.settings.after_s * NS_PER_S

    def _is_staffed(self, now_ns: int) -> bool:
        begin, end = (int(t[:2]) * 60 + int(t[3:]) for t in self.settings.staffed)
        local = datetime.fromtimestamp(now_ns / 1e9, UTC) + timedelta(minutes=self.utc_offset_min)
        minute = local.hour * 60 + local.minute
        return begin <= minute < end if begin <= end else minute >= begin or minute < end


class Screens:
    """The web server's side: what each open page has said last. A page is whatever object stands for it."""

    def __init__(self) -> None:
        self._heard: dict[int, tuple[bool, int]] = {}
        self._word = msgspec.json.Decoder(ScreenWord)

    def heard(self, page: int, text: str | None, may_decide: bool, monotonic_ns: int) -> bool:
        """Take a page's word; anything else that it says is left alone. Returns whether it was one."""
        if text is None:
            return False
        try:
            word = self._word.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        self._heard[page] = (word.is_watched and may_decide, monotonic_ns)
        return True

    def gone(self, page: int) -> None:
        self._heard.pop(page, None)

    def watched(self, monotonic_ns: int) -> int:
        """How many pages are watched now."""
        since_ns = monotonic_ns - SCREEN_WITHIN_NS
        return sum(1 for is_watched, at_ns in self._heard.values() if is_watched and at_ns >= since_ns)
