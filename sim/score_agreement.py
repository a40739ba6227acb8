"""How far the score of a run with processes, sockets and pixels may be from that of the same exercise in lockstep.

The two are not the same draw: a detector sees pictures in the one and draws from curves in the other, and a busy machine
takes fewer pictures. What they have to agree in is what is concluded from them. The limits are twice what was measured,
rounded up (docs/performance.md has the runs).
"""

from __future__ import annotations

from sim.score import ExerciseScore

TIME_TO_ALARM_S = 4.0           # median; measured: 0.1 to 2.8 s apart, at loads to 22
POSITION_ERROR_M = 1.0          # median; measured: 0.0 to 0.6 m apart, most of it another draw of the survey


def further_apart_than_they_may(processes: ExerciseScore, lockstep: ExerciseScore) -> list[str]:
    """In words what two scores of one exercise, of equal length, do not agree in; empty where they agree."""
    out = []
    for name in ("crossings", "crossings_alarmed", "false_alarms"):
        a, b = getattr(processes.truth, name), getattr(lockstep.truth, name)
        if a != b:
            out.append(f"{name}: {a} with processes, {b} in lockstep")
    for name, limit in (("time_to_alarm_p50_s", TIME_TO_ALARM_S), ("position_error_p50_m", POSITION_ERROR_M)):
        a, b = getattr(processes.truth, name), getattr(lockstep.truth, name)
        if (a is None) != (b is None) or (a is not None and b is not None and abs(a - b) > limit):
            out.append(f"{name}: {a} with processes, {b} in lockstep, which may be {limit:g} apart")
    return out
