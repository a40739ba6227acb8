"""Every sentence of a debrief about a single event: its key in the language files, and its parameters.

The words are in the language files, Vietnamese and English; a test holds their keys and parameters to this table. The
English here says what is meant, for whoever translates. What persons typed, and what a machine said of itself, is quoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sim.exercise_injects import BY_HAND
from sim.exercise_log import NO_END
from sim.score import CrossingScore, ExerciseScore
from sim.score_drones import DroneScore
from sim.score_misses import Miss, Missed
from station.alarms import SYSTEM, TEAM_SENT, Alarm
from station.language import words
from station.matching import Match
from station.picture import AlarmEventView, AlarmState
from station.sentences import SYSTEM_REASONS, Sentence

SENTENCES: dict[str, str] = {
    # Of the line of time
    "debrief.comes_one": "One person comes into {corridor}",
    "debrief.comes_many": "{people} people come into {corridor}",
    "debrief.in_sight": "They are in sight for the first time ({corridor})",
    "debrief.raised": "{alarm}: {rule}, priority {priority}",
    "debrief.state": "{alarm}: {state}",
    "debrief.person": "{alarm}: {state}, {person}",
    "debrief.person_said": '{alarm}: {state}, {person} ("{said}")',
    "debrief.team": "{alarm}: {person} sent team {team}",
    "debrief.closed": "{alarm}: closed by {person} as {code}",
    "debrief.closed_said": '{alarm}: closed by {person} as {code} ("{said}")',
    "debrief.asked": "{match}: is {contact} the subject {subject}? {lane}, {bits} bits",
    "debrief.answered": "{match}: {answer}, {person}",
    "debrief.inject": "Inject {id}",
    "debrief.inject_by": "Inject {id}, by {person}",
    "debrief.inject_hand": "Inject {id}, by hand",
    "debrief.inject_over": "Inject {id} is over",
    "debrief.paused": "Paused",
    "debrief.resumed": "Goes on",
    "debrief.frozen": "Frozen, to talk",
    "debrief.pace": "Pace {pace} times",
    "debrief.crashed": "Broken off: {detail}",
    "debrief.ended": "Ended",
    # What the station adds to an alarm: station.sentences.SYSTEM_REASONS
    "debrief.event.joined": "{alarm}: contact {contact} joined",
    "debrief.event.recovered": "{alarm}: the fault is over",
    "debrief.event.again": "{alarm}: the fault is back",
    "debrief.event.unanswered": "{alarm}: nobody answered in time",
    "debrief.event.unanswered_still": "{alarm}: still nobody answered, told again ({contact})",
    "debrief.event.shelving_over": "{alarm}: the time of shelving is over",
    "debrief.event.team_sent": "{alarm}: team {contact} sent",
    "debrief.event.also": "{alarm}: one more rule ({contact})",
    "debrief.event.worse": "{alarm}: graver, asks again ({contact})",
    "debrief.event.candidate_no": "{alarm}: no about {contact}",
    "debrief.event.candidate_yes": "{alarm}: yes about {contact}",
    "debrief.event.candidate_merged": "{alarm}: {contact} is one contact with another candidate",
    "debrief.event.match_confirmed": "{alarm}: yes about {contact}",
    "debrief.event.match_rejected": "{alarm}: no, and no candidate is left",
    # Of the moments that mattered
    "debrief.who_one": "One person in {corridor}.",
    "debrief.who_many": "{people} people in {corridor}.",
    "debrief.missed": "In sight for {seconds} s, and no alarm: {because}.",
    "debrief.late": "{alarm}, {wait_s} s after they came into sight.",
    "debrief.nobody": "{alarm}: nobody answered.",
    "debrief.answered_late": "{alarm}: answered after {wait_s} s.",
    "debrief.wrong_reason": "{alarm} was closed as {code}.",
    "debrief.best": "{alarm}, {wait_s} s after they came into sight in {corridor}.",
    "debrief.best_answered": "Answered {wait_s} s later.",
    "debrief.about_nobody": "{alarm} in {corridor} is about nobody.",
    "debrief.about_nobody_anywhere": "{alarm}, of no corridor, is about nobody.",
    "debrief.not_asked": "{subject} ({actor}) was there, and no question named them.",
    "debrief.wrong_lane": "{subject} ({actor}) was asked about as: {lane}.",
    "debrief.too_near": "{drone} was for {seconds} s nearer to somebody than it should ever be ({nearest_m} m).",
    "debrief.no_reserve": "{drone} landed with {percent} % left.",
    "debrief.drone_fault": "{drone} {fault}.",
    "debrief.fault_silent": "The station said nothing.",
    "debrief.fault_heard": "The station said so after {wait_s} s.",
    "debrief.fault_nobody": "Nobody answered.",
    "debrief.fault_answered": "Answered after {wait_s} s.",
    "debrief.fault_up": "It was not seen to land.",
    "debrief.fault_down": "It was down after {wait_s} s.",
    "debrief.crash": "The exercise ended early: {detail}",
}
ENDINGS: dict[str, str] = {     # why an exercise ended early, within the sentences that say so
    "debrief.no_end": "the direction ended without a word; what was recorded until then is here",
    "debrief.process_ended": "the process {name} ended: {said}",
    "debrief.process_restarted": "the station's process {name} had to be started again",
}
LATE_S = 10.0                   # an alarm after this is late: i-LIDS' window
ANSWER_S = 60.0                 # and an answer after this: priority 1 has gone to the supervisor by then

Says = tuple[Sentence, ...]


def ending(key: str, **values: str) -> dict[str, str]:
    """For the log: a text, and beside it the key and values by which a page says it in another language."""
    return {"detail": ENDINGS[key].format(**values), "detail|key": key} | {f"detail|{n}": v for n, v in values.items()}


def in_english(says: Says) -> str:
    return in_language(says, "en")


def in_language(says: Says, language: str) -> str:
    """As the pages say it, for paper, terminal and tables."""
    known = words(language, {}, 0)
    return " ".join(known.say(s) for s in says)


def why_in_english(missed: Missed) -> str:
    return words("en", {}, 0).t(f"missed.{missed.value}")


# ------------------------------------------------------------------------------------------------------- the line of time


def comes(c: CrossingScore) -> Says:
    if c.people == 1:
        return (Sentence("debrief.comes_one", {"corridor": c.corridor}),)
    return (Sentence("debrief.comes_many", {"corridor": c.corridor, "people": c.people}),)


def event_says(alarm: Alarm, event: AlarmEventView, is_first: bool) -> Says:
    """What happened to an alarm: by the station, or by a person."""
    code, _, rest = event.reason.partition(" ")
    about = {"alarm": alarm.id, "state": event.state.value, "person": event.person}
    if is_first and event.person == SYSTEM:
        return (Sentence("debrief.raised", {"alarm": alarm.id, "rule": alarm.rule, "priority": alarm.priority}),)
    if code == TEAM_SENT and event.person != SYSTEM:
        return (Sentence("debrief.team", {"alarm": alarm.id, "person": event.person, "team": rest}),)
    if code in SYSTEM_REASONS and (event.person == SYSTEM or code.startswith(("match_", "candidate_"))):
        return (Sentence(f"debrief.event.{code}", {"alarm": alarm.id, "contact": rest}),)
    if event.person == SYSTEM:
        return (Sentence("debrief.state", {"alarm": alarm.id, "state": event.state.value}),)
    if event.state is AlarmState.CLOSED and code:
        closed: dict[str, str | float | int] = {"alarm": alarm.id, "person": event.person, "code": code}
        return (Sentence("debrief.closed_said", closed | {"said": rest}) if rest else Sentence("debrief.closed", closed),)
    if event.reason:
        return (Sentence("debrief.person_said", {**about, "said": event.reason}),)
    return (Sentence("debrief.person", {**about}),)


def asked(m: Match) -> Says:
    return (Sentence("debrief.asked", {
        "match": m.id, "contact": m.contact, "subject": m.subject, "lane": m.lane, "bits": round(m.bits, 1)}),)


def directed(entry: dict[str, object]) -> Says:
    """What the direction did, from the exercise's log."""
    what, by = str(entry["what"]), str(entry.get("by", ""))
    if what == "inject" and by == BY_HAND:
        return (Sentence("debrief.inject_hand", {"id": str(entry["id"])}),)
    if what == "inject" and by not in ("", "time", "condition"):
        return (Sentence("debrief.inject_by", {"id": str(entry["id"]), "person": by}),)
    given = {k: v for k, v in entry.items() if k.startswith(("id", "detail", "pace")) and isinstance(v, str | float | int)}
    return (Sentence(f"debrief.{what}", given),)


def ended_because(log: Iterable[Mapping[str, object]], detail: str) -> dict[str, str | float | int]:
    """What an exercise's end says of itself: the text, and where the log has it, its key and values (wire.node_words)."""
    if detail == NO_END:
        return {"detail": detail, "detail|key": "debrief.no_end"}
    told: Mapping[str, object] = next((e for e in log if e.get("what") == "crashed" and e.get("detail") == detail), {})
    return {"detail": detail} | {
        k: v for k, v in told.items() if k.startswith("detail|") and isinstance(v, str | float | int)
    }


# ------------------------------------------------------------------------------------------------------------ the moments


def who(c: CrossingScore) -> Sentence:
    if c.people == 1:
        return Sentence("debrief.who_one", {"corridor": c.corridor})
    return Sentence("debrief.who_many", {"corridor": c.corridor, "people": c.people})


def missed_says(c: CrossingScore, m: Miss) -> Says:
    return who(c), Sentence("debrief.missed", {"seconds": round(m.in_sight_s), "because": m.because.value})


def crossing_says(c: CrossingScore) -> list[tuple[str, Says]]:
    """Kind of moment, and what to say of it: of one that raised an alarm."""
    out: list[tuple[str, Says]] = []
    if (c.wait_s or 0.0) > LATE_S:
        out.append(("late", (who(c), Sentence("debrief.late", {"alarm": c.alarm, "wait_s": round(c.wait_s or 0.0)}))))
    if c.answered_s is None:
        out.append(("unanswered", (who(c), Sentence("debrief.nobody", {"alarm": c.alarm}))))
    elif c.answered_s > ANSWER_S:
        late = Sentence("debrief.answered_late", {"alarm": c.alarm, "wait_s": round(c.answered_s)})
        out.append(("unanswered", (who(c), late)))
    if c.reason_is_right is False:
        out.append(("wrong_reason", (who(c), Sentence("debrief.wrong_reason", {"alarm": c.alarm, "code": c.closed_as}))))
    return out


def best_says(c: CrossingScore) -> Says:
    best = Sentence("debrief.best", {"alarm": c.alarm, "wait_s": round(c.wait_s or 0.0, 1), "corridor": c.corridor})
    if c.answered_s is None:
        return (best,)
    return best, Sentence("debrief.best_answered", {"wait_s": round(c.answered_s)})


def about_nobody(alarm: str, corridor: str) -> Says:
    if corridor:
        return (Sentence("debrief.about_nobody", {"alarm": alarm, "corridor": corridor}),)
    return (Sentence("debrief.about_nobody_anywhere", {"alarm": alarm}),)


def subject_says(score: ExerciseScore) -> list[tuple[float, str, Says]]:
    """When, kind, and what to say: of subjects that nobody was asked about, or in the wrong lane."""
    out: list[tuple[float, str, Says]] = []
    for s in score.subjects:
        about = {"subject": s.subject, "actor": s.actor}
        if s.was_there and not s.asked:
            out.append((0.0, "not_asked", (Sentence("debrief.not_asked", {**about}),)))
        elif s.lane_is_right is False:
            out.append((s.asked_s or 0.0, "wrong_lane", (Sentence("debrief.wrong_lane", {**about, "lane": s.lane}),)))
    return out


def drone_says(d: DroneScore) -> list[tuple[float, str, Says]]:
    """When, kind, and what to say: of a drone."""
    out: list[tuple[float, str, Says]] = []
    if d.too_near_first_s is not None:
        out.append((d.too_near_first_s, "too_near", (Sentence("debrief.too_near", {
            "drone": d.drone, "seconds": round(d.too_near_s), "nearest_m": round(d.nearest_m or 0.0)}),)))
    if d.reserve_kept is False:
        out.append((d.launched_s or 0.0, "no_reserve", (Sentence("debrief.no_reserve", {
            "drone": d.drone, "percent": round(d.battery_least_percent or 0.0)}),)))
    return out + [
        (f.at_s, "drone_fault", (
            Sentence("debrief.drone_fault", {"drone": d.drone, "fault": f.fault}),
            _after("fault_heard", f.heard_s, f.at_s, "fault_silent"),
            _after("fault_answered", f.answered_s, f.at_s, "fault_nobody"),
            _after("fault_down", f.down_s, f.at_s, "fault_up"),
        ))
        for f in d.faults
    ]


def _after(key: str, then_s: float | None, since_s: float, never: str) -> Sentence:
    if then_s is None:
        return Sentence(f"debrief.{never}")
    return Sentence(f"debrief.{key}", {"wait_s": round(then_s - since_s)})
