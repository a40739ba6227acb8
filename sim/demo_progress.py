"""Prints the progress of the demo's start: one line for each stage, and a box once everything runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from wire.clock import NS_PER_S, Clock

THINGS_TO_TRY = (
    "Answer an alarm: choose the top card in the queue, read it, press Acknowledge.",
    "Send the drone: open the pilot's page, choose a corridor, hold the launch button.",
    "Lead an exercise: ./trailwatch exercise desk, in another terminal.",
)


class Progress:
    """Prints each stage of the start with the seconds that have passed since this object was made.

    out: where to; standard error when not given, because standard output holds the report.
    """

    def __init__(self, clock: Clock, out: TextIO | None = None) -> None:
        self._clock = clock
        self._began_ns = clock.monotonic_ns()
        self._out = out or sys.stderr

    def stage(self, text: str) -> None:
        """Print that a stage begins."""
        passed_s = (self._clock.monotonic_ns() - self._began_ns) / NS_PER_S
        print(f"  [{passed_s:4.0f} s] {text}", file=self._out, flush=True)

    def ready(self, title: str, address: str, user: str, password: str, folder: str) -> None:
        """Print the box that says where to log in, as whom, and what to try."""
        lines = [
            title, "",
            f"map       {address}",
            f"user      {user}",
            f"password  {password}   (works once; you choose your own)",
            f"folder    {folder}",
            "stop      Ctrl-C", "",
            "Three things to try:",
            *(f"{number}. {text}" for number, text in enumerate(THINGS_TO_TRY, 1)),
        ]
        print("\n" + boxed(lines) + "\n", file=self._out, flush=True)


def boxed(lines: Sequence[str]) -> str:
    """The lines in a frame that is as wide as the longest of them."""
    width = max(map(len, lines))
    edge = "+" + "-" * (width + 2) + "+"
    return "\n".join([edge, *(f"| {line:<{width}} |" for line in lines), edge])
