"""Has the battery of a simulated drone swapped on the ground, by MAV_CMD_BATTERY_RESET.

The battery of a real aircraft is changed by hand. The fleet needs no word of that: it goes by the charge that the drone
reports.
"""

from __future__ import annotations

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.commands import WORD_S, Outcome, command, until
from fleet.dispatch_words import Said, said
from fleet.drone import Drone
from mavlink.link import MessageLink
from wire.flying import LinkState

ALL_BATTERIES = 255.0           # bit mask, as ground stations send it for "all of them"
FULL_PERCENT = 100.0
SEEN_PERCENT = 95.0             # reported at least, for the new battery to count as seen: a gauge rounds down


def swap_refusal(drone: Drone) -> Said | None:
    """Why no battery can be swapped now; None when it can be."""
    if drone.identity is None:
        return said("dispatch.unknown_aircraft", drone=drone.name)
    if not drone.identity.simulated:
        return said("dispatch.swap_real", drone=drone.name)
    if drone.link() is not LinkState.CONNECTED:
        return said("dispatch.link", drone=drone.name, link=drone.link().value)
    return said("dispatch.swap_flying", drone=drone.name) if drone.armed() or drone.airborne() else None


async def swap_battery(link: MessageLink, drone: Drone, system_id: int) -> Outcome:
    """Order it; done when the drone itself reports a full battery."""
    what = said("command.what.battery")
    outcome = await command(
        link, drone, system_id, mavlink.MAV_CMD_BATTERY_RESET, (ALL_BATTERIES, FULL_PERCENT), what
    )
    if not outcome.done:
        return outcome

    def is_seen() -> bool:
        percent = drone.fresh(drone.battery_percent)
        return percent is not None and percent >= SEEN_PERCENT

    seen = await until(is_seen, WORD_S)
    percent = drone.fresh(drone.battery_percent) or 0.0
    key = "dispatch.swapped" if seen else "dispatch.swap_unseen"
    return Outcome.of(seen, said(key, drone=drone.name, percent=round(percent)))
