"""Swaps the battery of a simulated drone on the ground: when ordered to, or by itself after each flight."""

from __future__ import annotations

from collections.abc import Callable

from sim.autopilot_flight import SEVERITY_INFO, SEVERITY_WARNING, Flight

FIRST_BATTERY = 1               # bit 0 of MAV_CMD_BATTERY_RESET's first parameter


class GroundCrew:
    """The person beside a simulated drone who puts a full battery in.

    swap_after_s: simulated seconds on the ground, disarmed, after which a flown battery is swapped without an order;
    0: never.
    announce(severity, text): a STATUSTEXT.
    """

    def __init__(self, flight: Flight, swap_after_s: float, announce: Callable[[int, str], None]) -> None:
        self._flight, self._swap_after_s, self._announce = flight, swap_after_s, announce
        self._has_flown = False
        self._stood_s = 0.0

    def reset(self, batteries: float, percent: float) -> bool:
        """MAV_CMD_BATTERY_RESET: a bit mask of batteries, and the charge of the new one. False when it is refused.

        Unlike ArduPilot, which only sets its counter, this is a swap: it needs a drone that is disarmed and on the ground.
        """
        if not (int(batteries) & FIRST_BATTERY and 0.0 < percent <= 100.0):
            return False
        if not self._is_at_hand():
            self._announce(SEVERITY_WARNING, "Battery swap: land and disarm first")
            return False
        self._swap(percent)
        return True

    def step(self, dt_s: float) -> None:
        """Simulated seconds pass."""
        if not self._is_at_hand():
            self._has_flown = self._has_flown or not self._flight.body.on_ground
            self._stood_s = 0.0
            return
        self._stood_s += dt_s
        if self._has_flown and 0.0 < self._swap_after_s <= self._stood_s:
            self._swap(100.0)

    def _is_at_hand(self) -> bool:
        return self._flight.body.on_ground and not self._flight.armed

    def _swap(self, percent: float) -> None:
        battery = self._flight.body.battery
        battery.used_mah = battery.capacity_mah * (1.0 - percent / 100.0)
        if self._flight.failsafe.startswith("battery"):
            self._flight.failsafe = ""      # as ArduPilot: the next low battery is one of its own
        self._has_flown = False
        self._announce(SEVERITY_INFO, f"Battery 1 swapped: {percent:.0f}%")
