"""Limits what the inbox accepts from one node: a token bucket of detections and one of bytes for each node.

A message beyond the budget is neither stored nor acknowledged nor refused, so an honest node keeps it in its outbox and
sends it again: a node that catches up after an outage is slowed down and loses nothing. Other nodes are not affected.
"""

from __future__ import annotations

from wire.budget import Budget
from wire.clock import Clock

OVER_BUDGET = "over_budget"     # refusal counter for messages that exceed the budget
MESSAGE_BYTES = 200             # minimum cost of a message, because each one needs a database row


class NodeBudgets:
    """detections_per_s, bytes_per_s: average limits of one node, with bursts of wire.budget.SAVED_S seconds; 0: no limit."""

    def __init__(self, detections_per_s: float, bytes_per_s: float, clock: Clock) -> None:
        self._rates = (detections_per_s, bytes_per_s)
        self._clock = clock
        self._of: dict[str, tuple[Budget, Budget]] = {}

    def try_spend(self, node: str, detections: int | None, size: int) -> bool:
        """Spend a message of `size` bytes from the node's budget. Returns False, and spends nothing, if none is left.

        detections: number in the frame; None for a message that is not a frame. The detection budget does not hold back such
        messages, so that a node with too many detections can still report its health.
        """
        budgets = self._of.get(node)
        if budgets is None:
            budgets = self._of[node] = (Budget(self._rates[0], self._clock), Budget(self._rates[1], self._clock))
        detection_budget, byte_budget = budgets
        if not byte_budget.open or (detections is not None and not detection_budget.open):
            return False
        byte_budget.spend(max(size, MESSAGE_BYTES))
        if detections is not None:
            detection_budget.spend(max(detections, 1))
        return True

    def describe(self) -> str:
        """The limits as one sentence, for the log and the refusal counter."""
        detections, size = self._rates
        return f"more than {detections:g} detections or {size:g} bytes a second; the rest waits at the node"
