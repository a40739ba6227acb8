"""Teams of people that were sent to an alarm: whom, when they are expected, when they were there, and what came of it.

A team is what its entries in the shift log say. Its states go one way: on the way, arrived, done; or recalled before that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from station.duty import TeamEventView, TeamState, TeamView
from station.sentences import Sentence
from station.shift_log import Body, Entry, TeamSent, TeamTold, number_of, team_id
from wire.clock import NS_PER_S

WHO_LIMIT = 80                  # characters
EXPECTED_MIN = (1, 720)         # minutes until a team is there: a shift at most
OUTCOMES = (
    "found_helped", "found_handed_over", "found_let_go", "nobody_found", "turned_back", "child_protected", "referral",
    "medical", "not_needed", "other",
)
_S = TeamState
NEXT: dict[TeamState, frozenset[TeamState]] = {
    _S.ON_THE_WAY: frozenset({_S.ARRIVED, _S.RECALLED, _S.DONE}),
    _S.ARRIVED: frozenset({_S.DONE}),
    _S.DONE: frozenset(),
    _S.RECALLED: frozenset(),
}


@dataclass(slots=True)
class Team:
    number: int
    alarm: str
    who: str
    expected_ns: int
    simulated: bool
    events: list[TeamEventView] = field(default_factory=list)

    @property
    def id(self) -> str:
        return team_id(self.number)

    @property
    def state(self) -> TeamState:
        return self.events[-1].state

    @property
    def is_out(self) -> bool:
        return self.state in (TeamState.ON_THE_WAY, TeamState.ARRIVED)

    def is_overdue(self, now_ns: int, grace_ns: int) -> bool:
        """Not there so long after it was expected. A clock that was set back makes nobody overdue for long: it runs on."""
        return self.state is TeamState.ON_THE_WAY and now_ns - self.expected_ns > grace_ns

    def view(self, is_overdue: bool) -> TeamView:
        return TeamView(
            self.id, self.alarm, self.who, self.expected_ns, self.state, is_overdue, self.simulated, tuple(self.events)
        )


class Teams:
    """All teams that the log knows of."""

    def __init__(self) -> None:
        self.all: dict[int, Team] = {}
        self._by_alarm: dict[str, list[Team]] = {}
        self.overdue: set[int] = set()      # numbers, as last looked at

    def take(self, entry: Entry) -> None:
        """Fold one entry of the log; others than a team's change nothing."""
        match entry.body:
            case TeamSent(team, alarm, who, expected_ns, simulated, note):
                made = self.all[team] = Team(team, alarm, who, expected_ns, simulated)
                self._by_alarm.setdefault(alarm, []).append(made)
                made.events.append(TeamEventView(TeamState.ON_THE_WAY, entry.at_ns, entry.person, note))
            case TeamTold(team, to, reason):
                self.all[team].events.append(TeamEventView(to, entry.at_ns, entry.person, reason))
            case _:
                pass

    def send(self, alarm: str, who: str, expected_min: int, note: str, simulated: bool, now_ns: int) -> Body | Sentence:
        """The entry that sends a team, or why not."""
        who, note = who.strip(), note.strip()
        if not 0 < len(who) <= WHO_LIMIT:
            return Sentence("team.refused.who", {"most": WHO_LIMIT})
        if not EXPECTED_MIN[0] <= expected_min <= EXPECTED_MIN[1]:
            return Sentence("team.refused.expected", {"least": EXPECTED_MIN[0], "most": EXPECTED_MIN[1]})
        number = max(self.all, default=0) + 1
        return TeamSent(number, alarm, who, now_ns + expected_min * 60 * NS_PER_S, simulated, note)

    def tell(self, team: str, to: TeamState, reason: str) -> Body | Sentence:
        """The entry that says what became of a team, or why not."""
        known = self.all.get(number_of(team, "T") or 0)
        if known is None:
            return Sentence("team.refused.unknown", {"team": team})
        last = known.events[-1]
        if to is known.state:
            return Sentence(
                "team.refused.already", {"state": to.value, "person": last.person, "at_ns": last.at_ns}
            )
        if to not in NEXT[known.state]:
            return Sentence("team.refused.not_from_here", {"state": known.state.value, "to": to.value})
        reason = reason.strip()
        if to in (TeamState.DONE, TeamState.RECALLED) and reason.split(maxsplit=1)[:1] not in [[o] for o in OUTCOMES]:
            return Sentence("team.refused.outcome", {})
        return TeamTold(known.number, to, reason)

    def of_alarm(self, alarm: str) -> tuple[TeamView, ...]:
        return tuple(t.view(t.number in self.overdue) for t in self._by_alarm.get(alarm, ()))

    def is_out_for(self, alarm: str) -> bool:
        return any(t.is_out for t in self._by_alarm.get(alarm, ()))

    def out(self) -> list[Team]:
        return [t for t in self.all.values() if t.is_out]

    def find_overdue(self, now_ns: int, grace_ns: int) -> set[int]:
        """Look again who is overdue; returns the numbers of the teams for which that has changed."""
        now = {t.number for t in self.all.values() if t.is_overdue(now_ns, grace_ns)}
        changed = now ^ self.overdue
        self.overdue = now
        return changed
