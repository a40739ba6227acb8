"""What trail nobody has seen for how long, for whoever plans patrols: the fleet reads this, and nothing else of coverage.

The station answers it as JSON (`GET /api/coverage/debt`) and prints it (`./trailwatch coverage --debt --json`).
"""

from __future__ import annotations

import msgspec

from wire.units import GroundPosition


class DebtSegment(msgspec.Struct, frozen=True):
    """A stretch of a corridor that nobody sees now, and that was last seen at about one time.

    from_m, to_m: along the corridor's centre line, from its first point. start, end: on the centre line, there.
    last_seen_ns: UTC, of its metre that waits longest; 0: nobody has seen that metre since the station began to count.
    unseen_s: how long that metre waits. debt_mh: metre-hours, as if all of it waited so long; not weighted. weight: of the
    corridor's priority.
    """

    corridor: str
    from_m: int
    to_m: int
    start: GroundPosition
    end: GroundPosition
    last_seen_ns: int
    unseen_s: float
    debt_mh: float
    weight: float


class CoverageDebt(msgspec.Struct, frozen=True, tag="coverage_debt"):
    """All segments of a sector, the heaviest (debt_mh times weight) first.

    corridors_version: of the CorridorSet that from_m and to_m count along. A plan that flies along a segment with its
    camera on the trail pays its debt; the station sees that by itself, from what the drone's node reports.
    """

    sector: str
    corridors_version: str
    at_ns: int
    segments: tuple[DebtSegment, ...]
