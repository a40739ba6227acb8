"""How much one node may bring in: a token bucket of detections and one of bytes for each node key.

A message beyond the budget is neither stored nor acknowledged nor refused, so an honest node keeps it in its outbox and
sends it again: a node that catches up after an outage is slowed down and loses nothing. Other nodes are not affected.
"""

from __future__ import annotations

from wire.budget import Budget
from wire.clock import Clock

OVER_BUDGET = "over_budget"     # the reason that a message which was not taken is counted under
MESSAGE_BYTES = 200             # what a message costs at the least; its row and its identity have a size too


class NodeBudgets:
    """detections_per_s, bytes_per_s: of one node on average, saved up for wire.budget.SAVED_S seconds; 0: no limit."""

    def __init__(self, detections_per_s: float, bytes_per_s: float, clock: Clock) -> None:
        self._rates = (detections_per_s, bytes_per_s)
        self._clock = clock
        self._of: dict[str, tuple[Budget, Budget]] = {}

    def take(self, node: str, detections: int | None, size: int) -> bool:
        """Whether a message of `size` bytes fits the node's budget; if so, it is spent.

        detections: of a frame; None of another message, which only the bytes hold back: so the station goes on hearing how a
        node is that sees too much.
        """
        known = self._of.get(node)
        if known is None:
            seen, sent = self._rates
            known = self._of[node] = (Budget(seen, self._clock), Budget(sent, self._clock))
        seen_budget, bytes_budget = known
        if not bytes_budget.open or (detections is not None and not seen_budget.open):
            return False
        bytes_budget.spend(max(size, MESSAGE_BYTES))
        if detections is not None:
            seen_budget.spend(max(detections, 1))
        return True

    def says(self) -> str:
        """What a node exceeded, for the log and the counts."""
        seen, sent = self._rates
        return f"more than {seen:g} detections or {sent:g} bytes a second; what is beyond waits at the node"
