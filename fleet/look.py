"""Looking at a contact: a drone in GUIDED beside somebody who moves, its gimbal on where he is taken to be.

An errand of a sortie, in steps. Each place is chosen by fleet.stand_off and passes the plan's own check from where the drone
is, before it is commanded; where no place passes, the drone stays at the last one that did.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from fleet.commands import command, read_parameter, set_mode, write_parameter
from fleet.dispatch_words import Said, reasons, said
from fleet.drone import Drone
from fleet.look_terms import Estimate, LookTerms, check_place, estimate_of, go_to, place_now
from fleet.passing import Passing
from fleet.stand_off import FAR_M, WIDER, Place, Room, Sides, bearing_to, next_place, turn_deg
from geofences.geodesy import Array
from geofences.terrain import FlatTerrain
from mavlink.link import MessageLink
from wire.clock import NS_PER_S
from wire.flying import Plan, TaskPhase
from wire.tasking import Target
from wire.units import GroundPosition

STEP_S = 0.5                    # between two places, and two places of the gimbal
CHECK_S = 1.0                   # between two checks of the whole rules; the room is asked about at each step
ORBIT_M_S = 2.0                 # along the circle: what a background does not smear at
LEAD_S = 0.4                    # a place of the gimbal is commanded for when it is acted on
LOST_S = 6.0                    # not detected for so long: it is looked for, wider
GIVEN_UP_S = 60.0               # and for so long: it is given up
GONE_S = 15.0                   # after the station has said that it is a contact no longer
ON_STATION_M = 15.0             # of the circle, to be there
HELD_S = 3.0                    # in the picture for so long, it is held
OVERLAP_S = 5.0                 # and held for so long without a break, it takes the contact over from another drone
ALONE_S = 3.0                   # without a detection by this drone, it has its own geometry to go by
LENS = Lens(960, 540, 1600.0, 1600.0, 479.5, 269.5)     # where the settings name no camera: as the demo's
BODY_M = 0.9                    # the middle of a person over his feet
SEEN_PX = 12.0                  # of him from head to foot, to be in the picture for a person or a detector
FRAME_ROI = int(mavlink.MAV_FRAME_GLOBAL_RELATIVE_ALT)

Say = Callable[[TaskPhase, Said], None]

_log = logging.getLogger("trailwatch.fleet")


class Look:
    """Of one contact by one drone. over: why it has ended. held: it is there, and has him in its picture. takes_over: it has
    held him for OVERLAP_S without a break.

    plan: as offered; its return height is what the ways home are checked for. in_view: now. last: tells the last phase of a
    look that has a task of its own.
    """

    def __init__(
        self, contact: str, plan: Plan, drone: Drone, link: MessageLink, room: Room, terms: LookTerms, say: Say,
        last: Say | None = None, *, priority: int = 2, layer_m: float = 0.0,
    ) -> None:
        self.contact = contact
        self.over: Said | None = None
        self.in_view = False
        self.on_station = False
        self.plan = plan
        self.priority, self.layer_m = priority, layer_m
        self._drone, self._link, self._room, self._terms, self._say = drone, link, room, terms, say
        self._frame = room.sector.frame
        self._last = last
        self._begun = self._slowed = False
        self._next_ns = self._checked_ns = 0
        self._way = 1.0             # round it: 1 clockwise, -1 against
        self._place: Place | None = None
        self._viewed_ns: int | None = None
        self._held_ns: int | None = None
        self._lost = False
        self._far = False
        self._gone_ns: int | None = None
        self._said = ""
        self._estimate: Estimate | None = None

    @property
    def begun(self) -> bool:
        """The drone has taken it up, by its own word."""
        return self._begun

    def pause(self) -> None:
        self._begun = self._slowed = False
        self._held_ns = None

    def finish(self, phase: TaskPhase, why: Said) -> None:
        """It is over, or was cut short: the gimbal is let go, and a look with a task of its own has told its last phase."""
        self.over = self.over or why
        self._link.send(self._roi_none())
        if self._last is not None:
            self._last(phase, why)
            self._last = None

    def end(self, why: Said) -> None:
        self.over = self.over or why

    def leaves(self) -> Passing | None:
        """Whom it has looked at, from whom a stand-off is kept afterwards too."""
        return Passing(self.contact, self.plan, self._drone, self._link, self._room, self._terms)

    @property
    def held(self) -> bool:
        """Whether another one may leave: it is where it looks from, and the station or its own picture says so."""
        target = self._terms.targets.get(self.contact)
        seen = target is not None and self._drone.name in target.held_by
        viewed_s = self._since_s(self._viewed_ns) if self._viewed_ns is not None else 0.0
        return self.on_station and not self._lost and (seen or (self.in_view and viewed_s >= HELD_S))

    @property
    def takes_over(self) -> bool:
        """Whether one that held him before may leave: not at the first sight, which a moment later may be none."""
        return self.held and self._held_ns is not None and self._since_s(self._held_ns) >= OVERLAP_S

    async def step(self) -> None:
        now_ns = self._terms.clock.monotonic_ns()
        if now_ns < self._next_ns or self.over:
            return
        self._next_ns = now_ns + round(STEP_S * NS_PER_S)
        target = self._terms.targets.get(self.contact)
        if target is None:
            self.end(said("look.unknown", contact=self.contact))
            return
        if not self._begun and not await self._begin():
            return
        self._estimate = estimate_of(target, self._terms.clock.utc_ns(), self._frame.point)
        if not self._still_there(target, self._estimate):
            return
        here = place_now(self._drone, self._frame)
        if here is None:
            return
        self._look_at(self._estimate)
        self._judge_view(here, self._estimate)
        if not self.held:
            self._held_ns = None
        elif self._held_ns is None:
            self._held_ns = now_ns
        if self._place is not None and not self._slowed and not await self._slow():
            return
        self._go(here, self._estimate)

    # ------------------------------------------------------------------------------------------------------- its parts

    async def _begin(self) -> bool:
        system_id = self.plan.system_id
        if self._drone.mode() != "GUIDED":
            outcome = await set_mode(self._link, self._drone, system_id, "GUIDED")
            if not outcome.done:
                self.end(outcome.said)
                return False
        wanted = round(self.plan.return_height_m * 100.0)
        found = await read_parameter(self._link, system_id, ("RTL_ALT",))
        if found is not None and found[1] < wanted:
            outcome = await write_parameter(self._link, self._drone, system_id, found[0], wanted)
            if not outcome.done:
                self.end(outcome.said)
                return False
        self._begun = True
        self._tell("look.begins")
        flat = isinstance(self._room.sector.terrain, FlatTerrain)
        self._tell("look.knows_line" if flat else "look.knows_ground")
        return True

    async def _slow(self) -> bool:
        """To the plan's speed, for which its distances are reckoned: an ArduCopter takes it once it has a first place."""
        speed = self.plan.waypoints[1].speed_m_s
        change = mavlink.MAV_CMD_DO_CHANGE_SPEED
        what = said("command.what.speed", speed_m_s=f"{speed:g}")
        outcome = await command(self._link, self._drone, self.plan.system_id, change, (1.0, speed, -1.0), what)
        self._slowed = outcome.done
        if not outcome.done:
            self.end(outcome.said)
        return outcome.done

    def _still_there(self, target: Target, now: Estimate) -> bool:
        if target.gone and self._gone_ns is None:
            self._gone_ns = self._terms.clock.monotonic_ns()
        if not target.gone:
            self._gone_ns = None
        gone_s = self._since_s(self._gone_ns) if self._gone_ns is not None else 0.0
        if gone_s >= GONE_S:
            self.end(said("look.gone", contact=self.contact))
        elif now.seen_s >= GIVEN_UP_S:
            self.end(said("look.given_up", contact=self.contact, seconds=round(now.seen_s)))
        lost = now.seen_s >= LOST_S or target.gone
        if lost != self._lost and not self.over:
            self._lost = lost
            self._tell("look.lost" if lost else "look.found", seconds=round(now.seen_s))
        return not self.over

    def _go(self, here: Array, now: Estimate) -> None:
        terms = self._terms
        wide = WIDER if self._lost else 1.0
        radius, height = terms.radius_m * wide, terms.height_m * wide
        away_m = float(np.linalg.norm(here - now.at))
        self.on_station = away_m < max(radius, FAR_M if self._far else 0.0) + ON_STATION_M
        ahead_deg = math.degrees(ORBIT_M_S * STEP_S * 3.0 / radius) if away_m < radius + ON_STATION_M else 0.0
        # Where he will be when the drone gets there.
        soon = now.at + now.velocity * STEP_S
        place, sides = next_place(soon, here, self._way * ahead_deg, radius, height, self._room, terms.others())
        if place is not None and ahead_deg and self._way * turn_deg(bearing_to(soon, here), place.bearing_deg) < 0.1:
            self._way = -self._way      # this way round is shut: it turns about, and is asked again at the next step
        self._say_of(sides, place)
        if place is None or not self._passes(here, place):
            if self._place is not None:
                self._command(self._place.at, self._place.height_m, now)
            return
        self._far = place.radius_m >= FAR_M
        self._place = place
        self._command(place.at, place.height_m, now)

    def _passes(self, here: Array, place: Place) -> bool:
        """The plan's own check of the way there and home again; between two of them the room, which next_place has asked."""
        now_ns = self._terms.clock.monotonic_ns()
        if self._place is not None and now_ns - self._checked_ns < CHECK_S * NS_PER_S:
            return True
        result = check_place(self.plan, self._drone, self._room, self._terms, here, place.at, place.height_m)
        if result.passed:
            self._checked_ns = now_ns
            return True
        self._tell("look.refused", why=reasons(result.findings[:2]))
        return False

    def _command(self, at: Array, height_m: float, now: Estimate) -> None:
        yaw_deg = (bearing_to(now.at, at) + 180.0) % 360.0
        self._link.send(go_to(self.plan.system_id, self._frame.position(*(float(v) for v in at)), height_m, yaw_deg))

    def _look_at(self, now: Estimate) -> None:
        """The gimbal follows the place by itself, from wherever the drone is; without one the drone's yaw has to do."""
        at = now.at + now.velocity * (LEAD_S + STEP_S / 2.0)
        place = self._frame.position(*(float(v) for v in at))
        height = float(self._room.sector.terrain.height_msl_m(at)[0]) + BODY_M - self._room.home_msl_m
        self._link.send(self._roi(place, height))

    def _roi(self, place: GroundPosition, height_m: float) -> Any:
        return mavlink.MAVLink_command_int_message(
            self.plan.system_id, 1, FRAME_ROI, mavlink.MAV_CMD_DO_SET_ROI_LOCATION, 0, 0, 0.0, 0.0, 0.0, 0.0,
            round(place.lat_deg * 1e7), round(place.lon_deg * 1e7), height_m,
        )

    def _roi_none(self) -> Any:
        return mavlink.MAVLink_command_int_message(
            self.plan.system_id, 1, FRAME_ROI, mavlink.MAV_CMD_DO_SET_ROI_NONE, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0.0
        )

    def _judge_view(self, here: Array, now: Estimate) -> None:
        """Whether he is in its picture, large enough to be seen, as far as its own attitude goes."""
        drone, view, mount = self._drone, self._terms.view, self._terms.mount_pitch_deg
        position, gimbal, attitude = drone.position, drone.fresh(drone.gimbal_deg), drone.fresh(drone.attitude_deg)
        if mount is not None:
            gimbal = (mount + attitude[1], attitude[2]) if attitude is not None else None
        seen = False
        if position is not None and gimbal is not None:
            pitch, yaw = gimbal
            pose = Pose(float(here[0]), float(here[1]), position.value.height.m, yaw, pitch)
            ground = float(self._room.sector.terrain.height_msl_m(now.at)[0])
            lens = view.lens if view is not None else LENS
            pixel = project([[now.at[0], now.at[1], ground + BODY_M]], pose, lens)
            away_m = math.hypot(*(now.at - here), position.value.height.m - ground)
            seen = bool(np.isfinite(pixel).all()) and bool(lens.holds(pixel)[0]) and lens.fy * 2 * BODY_M >= SEEN_PX * away_m
        if seen != self.in_view:
            self._viewed_ns = self._terms.clock.monotonic_ns() if seen else None
        self.in_view = seen

    def _say_of(self, sides: Sides, place: Place | None) -> None:
        if place is None:
            self._tell("look.no_place")
        elif place.radius_m >= FAR_M and not sides.may.any() and sides.pressed.any():
            self._tell("look.far")
        elif sides.pressed.any() and not self._far:
            self._tell("look.side")

    def _tell(self, key: str, **params: str | float | int | tuple[Said, ...]) -> None:
        """Once, until something else is to be said."""
        if key != self._said:
            self._said = key
            self._say(TaskPhase.EXECUTING, said(key, drone=self._drone.name, contact=self.contact, **params))

    def _since_s(self, at_ns: int) -> float:
        return (self._terms.clock.monotonic_ns() - at_ns) / NS_PER_S
