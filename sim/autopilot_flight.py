"""The simulated autopilot's judgement: arming, modes, failsafes, fence; one step at a time, no sockets, no clock.

It owes the behaviour of a real ArduCopter: readiness depends on the mode, a refusal is answered before its reason is
spoken, and what it was told is done only when its own state says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from sim.autopilot_mission import FENCE, MISSION, Item, MissionStore, in_ring, item_name
from sim.autopilot_modes import (
    ARMABLE,
    HOLD,
    NEEDS_POSITION,
    SETTLED_M,
    MissionFlight,
    Mode,
    ReturnHome,
    Target,
    Wish,
    sink,
    towards,
)
from sim.autopilot_parameters import Parameters
from sim.multirotor import FlatEarth, Multirotor

GPS_FLAGS_DROP_S = 7.0          # observed on ArduCopter: the EKF's flags drop this long after the last fix,
GPS_LAND_S = 8.0                # and its failsafe lands the aircraft then
FENCE_GRACE_S = 2.0             # arming within this of a fence upload can fail
LANDED_S = 2.2                  # on the ground for so long, and it disarms by itself (observed)
SPOOL_UP_S = 2.8                # from the order to take off until it leaves the ground (observed)
FENCE_CHECK_S = 0.1
STOPPED_M_S = 0.3
MOUNT_LEAST_DEG, MOUNT_MOST_DEG = -90.0, 20.0       # MNT1_PITCH_MIN and _MAX
FULL_WIND_M = 60.0
PREARM_SHARE = 0.57             # of the settling time: the pre-arm bit is healthy before GUIDED is ready (23.6 s of 41 s)
FIX_SHARE = 0.2

BATTERY_ACTIONS = {1: Mode.LAND, 2: Mode.RTL}

SEVERITY_CRITICAL, SEVERITY_WARNING, SEVERITY_NOTICE, SEVERITY_INFO = 2, 4, 5, 6


@dataclass(frozen=True, slots=True)
class Place:
    """WGS 84 degrees, metres above mean sea level."""

    lat_deg: float
    lon_deg: float
    msl_m: float


class Flight:
    """One aircraft and its autopilot's state.

    announce(severity, text): a STATUSTEXT. reached(seq): a MISSION_ITEM_REACHED. t_s: simulated seconds since boot.
    """

    def __init__(
        self,
        body: Multirotor,
        start: Place,
        parameters: Parameters,
        settle_s: float,
        announce: Callable[[int, str], None],
        reached: Callable[[int], None],
    ) -> None:
        self.body = body
        self.start = start
        self.earth = FlatEarth(start.lat_deg, start.lon_deg)
        self.p = parameters
        self.t_s = 0.0
        self.mode = Mode.STABILIZE
        self.armed = False
        self.home: Place = start
        self.home_set = False
        self.store: MissionStore | None = None
        self.mission: MissionFlight | None = None
        self.mission_seq = 0
        self.fence_on = False
        self.fence_breached = False
        self.gimbal_pitch_deg = 0.0         # against the horizon
        self.gimbal_yaw_deg = 0.0           # against the nose
        self.region_of_interest: Target | None = None
        self.failsafe = ""
        self.last_place: Place | None = None    # that it has told
        self._settle_s = settle_s
        self._announce = announce
        self._reached = reached
        self._gps_lost_s: float | None = None
        self._armed_s = 0.0
        self._landed_since_s = 0.0
        self._flown = False
        self._auto_go = False
        self._guided: Target | None = None
        self._guided_yaw_deg: float | None = None
        self._stopping = self._placed = False
        self._guided_speed_m_s: float | None = None
        self._taking_off = False
        self._go_s = 0.0
        self._told_item = 0
        self._return: ReturnHome | None = None
        self._gcs_heard_s: float | None = None
        self._low_since_s: float | None = None
        self._fence_uploaded_s = -math.inf
        self._fence_checked_s = 0.0
        self._ready_told = False

    # ------------------------------------------------------------------------------------------------ what is known

    def gps_fix(self) -> int:
        """GPS_FIX_TYPE."""
        if self.p["SIM_GPS1_ENABLE"] == 0:
            return 1
        return 6 if self.t_s >= self._settle_s * FIX_SHARE else 1

    def prearm_ok(self) -> bool:
        """The pre-arm bit of SYS_STATUS; in a mode that needs a position it waits for one."""
        settled = self.t_s >= self._settle_s * PREARM_SHARE and self.gps_fix() >= 3
        return settled and (self.mode not in NEEDS_POSITION or self.position_ok())

    def position_ok(self) -> bool:
        """Whether the position estimate is good enough for the modes that need one."""
        if self.t_s < self._settle_s:
            return False
        return self._gps_lost_s is None or self.t_s - self._gps_lost_s < GPS_FLAGS_DROP_S

    def home_target(self) -> Target:
        east, north = self.earth.to_local(self.home.lat_deg, self.home.lon_deg)
        return Target(east, north, self.home.msl_m - self.start.msl_m)

    def place(self) -> Place:
        """Where it believes to be."""
        return Place(*self.earth.to_degrees(*self.body.reported()), self.start.msl_m + self.body.reported_up_m())

    def voltage_v(self) -> float:
        forced = self.p["SIM_BATT_VOLTAGE"]
        return forced if forced > 0 else self.body.battery.voltage_v()

    def landed_state(self) -> int:
        """MAV_LANDED_STATE."""
        if self.body.on_ground:
            return 1
        if self._taking_off or (self.mission is not None and self.mode is Mode.AUTO and self._is_takeoff_item()):
            return 3
        if self.mode is Mode.LAND or (self._return is not None and self._return.landing()):
            return 4
        if self.mode is Mode.AUTO and self.mission is not None and self.mission.landing():
            return 4
        return 2

    def items(self) -> list[Item]:
        return self.store.items[MISSION] if self.store is not None else []

    def home_item(self) -> Item:
        if not self.home_set:
            return Item(0, 0, 16)
        return Item(0, 0, 16, x=round(self.home.lat_deg * 1e7), y=round(self.home.lon_deg * 1e7), z=self.home.msl_m)

    # ------------------------------------------------------------------------------------------------ what it is told

    def set_mode(self, number: int, *, why: str = "") -> bool:
        """Change the mode; False when refused, and the reason is announced (after the caller's acknowledgement)."""
        try:
            mode = Mode(number)
        except ValueError:
            self._announce(SEVERITY_WARNING, f"No such mode {number}")
            return False
        if mode is self.mode:
            return True
        if not self.armed:      # on the ground every mode may be chosen; arming is what is refused then
            self._enter(mode)
            return True
        if mode in NEEDS_POSITION and not self.position_ok():
            self._announce(SEVERITY_WARNING, f"Mode change to {mode.name} failed: requires position")
            return False
        if mode is Mode.AUTO:
            items = self.items()
            if len(items) < 2:
                self._announce(SEVERITY_WARNING, "Mode change to AUTO failed: init failed")
                return False
            if self.body.on_ground and items[1].command != 22:
                self._announce(SEVERITY_CRITICAL, "Auto: Missing Takeoff Cmd")
                return False
        self._enter(mode)
        if why:
            self._announce(SEVERITY_WARNING, why)
        return True

    def arm(self, *, force: bool) -> bool:
        if self.armed:
            return True
        reason = None if force else self._arming_refusal()
        if reason is not None:
            self._announce(SEVERITY_CRITICAL, reason)
            return False
        self.armed = True
        self._armed_s = self.t_s
        self._flown = False
        self._auto_go = False
        if self.position_ok():
            self.home, self.home_set = self.place(), True
        self._announce(SEVERITY_INFO, "Arming motors")
        return True

    def disarm(self, *, force: bool) -> bool:
        if self.armed and not self.body.on_ground and not force:
            return False
        if self.armed:
            self._announce(SEVERITY_INFO, "Disarming motors")
        self.armed = False
        self._taking_off = False
        self._guided = None
        self.mission = None
        return True

    def take_off(self, height_m: float) -> bool:
        if not (self.armed and self.mode is Mode.GUIDED and self.body.on_ground and height_m > 0):
            return False
        self._guided = Target(*self.body.reported(), self.home_target().up + height_m)
        self._taking_off = True
        self._go_s = self.t_s
        return True

    def start_mission(self) -> bool:
        if not self.armed or self.mode is not Mode.AUTO:
            return False
        self._auto_go = True
        self._go_s = self.t_s
        return True

    def fly_to(self, target: Target, speed_m_s: float | None, yaw_deg: float | None = None) -> bool:
        """yaw_deg: which way it looks on the way and there; None: where it goes, as it is told with each target anew."""
        if self.mode is not Mode.GUIDED or not self.armed or self.body.on_ground:
            return False
        # The first place in GUIDED begins at its own speed; what is ordered after that holds for the places that follow.
        kept = self._guided_speed_m_s if self._placed else None
        self._guided, self._guided_speed_m_s, self._taking_off = target, speed_m_s or kept, False
        self._guided_yaw_deg, self._stopping, self._placed = yaw_deg, False, True
        return True

    def stop_there(self) -> None:
        """What GUIDED does with a target that it cannot use."""
        if self.mode is Mode.GUIDED and not self.body.on_ground:
            self._guided, self._guided_yaw_deg = Target(*self.body.reported(), self.body.up_m), None
            self._stopping, self._placed = True, False

    def look_at(self, target: Target | None) -> None:
        """The mount follows a place from now on, from wherever the aircraft is; None: it looks ahead again."""
        self.region_of_interest = target
        if target is None:
            self.gimbal_pitch_deg = self.gimbal_yaw_deg = 0.0

    def point(self, pitch_deg: float, yaw_deg: float) -> None:
        self.region_of_interest = None
        self.gimbal_pitch_deg = max(MOUNT_LEAST_DEG, min(MOUNT_MOST_DEG, pitch_deg))
        self.gimbal_yaw_deg = (yaw_deg + 180.0) % 360.0 - 180.0

    def change_speed(self, speed_m_s: float) -> None:
        self._guided_speed_m_s = speed_m_s
        if self.mission is not None:
            self.mission.speed_m_s = speed_m_s

    def set_current(self, seq: int) -> bool:
        if not 0 <= seq < max(1, len(self.items())):
            return False
        self.mission_seq = max(1, seq) if self.items() else 0
        if self.mission is not None:
            self.mission.jump_to(self.mission_seq)
        return True

    def set_home(self, place: Place) -> None:
        self.home, self.home_set = place, True

    def heard_station(self) -> None:
        self._gcs_heard_s = self.t_s
        if self.failsafe == "gcs":
            self.failsafe = ""
            self._announce(SEVERITY_WARNING, "GCS Failsafe Cleared")

    def items_changed(self, kind: int) -> None:
        """After an upload or a clear."""
        if kind == FENCE:
            self._fence_uploaded_s = self.t_s
            self.p.set("FENCE_TOTAL", float(len(self.store.items[FENCE]) if self.store else 0))
        elif kind == MISSION:
            self.p.set("MIS_TOTAL", float(len(self.items())))
            self._announce(SEVERITY_INFO, "Flight plan received")
            self.mission_seq = min(self.mission_seq, max(0, len(self.items()) - 1))
            if self.mission is not None and self.mode is Mode.AUTO:
                self._start_items()

    # --------------------------------------------------------------------------------------------------- as time goes

    def step(self, dt_s: float) -> None:
        self.t_s += dt_s
        # Weaker near the ground, as SITL's wind is by default (SIM_WIND_T, SIM_WIND_T_ALT): the square root of the height.
        self.body.wind.speed_m_s = self.p["SIM_WIND_SPD"] * math.sqrt(min(1.0, max(0.0, self.body.up_m) / FULL_WIND_M))
        self.body.wind.from_deg = self.p["SIM_WIND_DIR"]
        self.body.wind.gust_m_s = self.p["SIM_WIND_TURB"]
        self._watch_gps()
        if not self._ready_told and self.position_ok():
            self._ready_told = True
            if not self.home_set:
                self.home, self.home_set = self.place(), True
            self._announce(SEVERITY_INFO, "EKF3 IMU0 is using GPS")
        if self.armed:
            self._watch_failsafes()
        wish = self._guide(dt_s) if self.armed else HOLD
        self.body.step(dt_s, (wish.east, wish.north, wish.up), wish.yaw_deg, motors=self.armed)
        if self.armed:
            self._watch_ground()
        if self.region_of_interest is not None:
            self._follow_region(self.region_of_interest)

    def _follow_region(self, place: Target) -> None:
        """From where it believes to be, as a mount with servos does it: at once (AP_Mount_Servo)."""
        east, north = self.body.reported()
        de, dn = place.east - east, place.north - north
        pitch_deg = math.degrees(math.atan2(place.up - self.body.reported_up_m(), math.hypot(de, dn)))
        self.gimbal_pitch_deg = max(MOUNT_LEAST_DEG, min(MOUNT_MOST_DEG, pitch_deg))
        bearing_deg = math.degrees(math.atan2(de, dn))
        self.gimbal_yaw_deg = (bearing_deg - self.body.reported_attitude_deg()[2] + 180.0) % 360.0 - 180.0

    def _guide(self, dt_s: float) -> Wish:
        body = self.body
        if self.mode is Mode.LAND:
            return sink(body, self.p, self._guided if self.position_ok() else None)
        if self.mode is Mode.RTL and self._return is not None:
            return HOLD if body.on_ground else self._return.step(body, self.p, dt_s)
        if self.mode is Mode.AUTO:
            return self._guide_auto(dt_s)
        if self._guided is None or (body.on_ground and not (self._taking_off and self._spooled_up())):
            return HOLD
        speed = self._guided_speed_m_s or self.p["WPNAV_SPEED"] / 100.0
        if self._taking_off and body.up_m >= self._guided.up - SETTLED_M:
            self._taking_off = False
        if self._stopping:      # it stays where it comes to a stand, and does not fly back to where it was told so
            self._stopping = body.ground_speed_m_s() > STOPPED_M_S
            self._guided = Target(*body.reported(), self._guided.up)
            return Wish(up=towards(body, self._guided, 0.0, self.p, yaw=False).up)
        wish = towards(body, self._guided, speed, self.p, yaw=self.mode is Mode.GUIDED)
        return wish if self._guided_yaw_deg is None else replace(wish, yaw_deg=self._guided_yaw_deg)

    def _guide_auto(self, dt_s: float) -> Wish:
        if self.mission is None or (self.body.on_ground and not (self._auto_go and self._spooled_up())):
            return HOLD
        done: list[int] = []
        wish = self.mission.step(self.body, self.p, dt_s, done)
        if done:
            # One slot: of several in one step, as of a take-off and the DO item after it, only the last is told.
            self._reached(done[-1])
        self._tell_items(done, self.mission.current)
        self.mission_seq = self.mission.current
        return wish

    def _tell_items(self, done: list[int], current: int) -> None:
        """The texts of one step: what was reached, and each item that was begun."""
        items = self.items()
        for seq in done:
            if seq < len(items) and items[seq].command in (16, 19):
                self._announce(SEVERITY_INFO, f"Reached command #{seq}")
        begun = range(self._told_item + 1, current + 1) if current > self._told_item else [current]
        for seq in begun if current != self._told_item else ():
            self._announce(SEVERITY_INFO, f"Mission: {seq} {item_name(items, seq)}")
        self._told_item = current

    def _spooled_up(self) -> bool:
        return self._flown or self.t_s - self._go_s >= SPOOL_UP_S

    def _enter(self, mode: Mode) -> None:
        self.mode = mode
        self._taking_off = False
        self._return = None
        self.mission = None
        self._guided_speed_m_s = self._guided_yaw_deg = None
        self._guided = None if self.body.on_ground else Target(*self.body.reported(), self.body.up_m)
        self._placed = False
        self._stopping = mode in (Mode.BRAKE, Mode.GUIDED) and not self.body.on_ground
        if mode is Mode.RTL:
            self._return = ReturnHome(self.body, self.home_target(), self.p)
        elif mode is Mode.AUTO:
            self._start_items()

    def _start_items(self) -> None:
        start = self.mission_seq if 0 < self.mission_seq < len(self.items()) else 1
        if self.body.on_ground:
            start = 1
        self._auto_go = self._auto_go or not self.body.on_ground
        self.mission = MissionFlight(list(self.items()), self.earth, self.home_target(), self.start.msl_m, start)
        self.mission_seq = start
        self._told_item = start - 1

    def _is_takeoff_item(self) -> bool:
        items = self.items()
        return self.mission is not None and self.mission.current < len(items) and items[self.mission.current].command == 22

    def _arming_refusal(self) -> str | None:
        if self.mode not in ARMABLE:
            return f"Arm: {self.mode.name} mode not armable"
        if (self.mode in NEEDS_POSITION or self.fence_enabled()) and not self.position_ok():
            return "PreArm: Need Position Estimate"
        if not self.prearm_ok():
            return "PreArm: GPS 1: Bad fix" if self.gps_fix() < 3 else "PreArm: AHRS: waiting for home"
        if self.t_s - self._fence_uploaded_s < FENCE_GRACE_S:
            return "PreArm: Fence requires position"
        if self.p["BATT_LOW_VOLT"] > 0 and self.voltage_v() < self.p["BATT_LOW_VOLT"]:
            return "PreArm: Battery 1 low voltage failsafe"
        if self.fence_enabled() and self.is_outside_fence(self.place().lat_deg, self.place().lon_deg):
            return "PreArm: Vehicle breaching Polygon fence"
        return None

    # ------------------------------------------------------------------------------------------------------ failsafes

    def _watch_gps(self) -> None:
        if self.p["SIM_GPS1_ENABLE"] != 0:
            self._gps_lost_s = None
        elif self._gps_lost_s is None:
            self._gps_lost_s = self.t_s

    def _watch_failsafes(self) -> None:
        lost = self._gps_lost_s
        if lost is not None and self.t_s - lost >= GPS_LAND_S and self.mode in NEEDS_POSITION:
            self._announce(SEVERITY_CRITICAL, "EKF Failsafe")
            self._act("ekf", Mode.LAND)
        timeout = self.p["FS_GCS_TIMEOUT"]
        heard = self._gcs_heard_s
        if self.p["FS_GCS_ENABLE"] != 0 and heard is not None and self.failsafe != "gcs" and self.t_s - heard > timeout:
            self._announce(SEVERITY_WARNING, "GCS Failsafe")
            self._act("gcs", Mode.RTL)
        if self.p["SIM_RC_FAIL"] != 0 and self.p["FS_THR_ENABLE"] != 0 and self.failsafe != "rc":
            self._announce(SEVERITY_WARNING, "Radio Failsafe")
            self._act("rc", Mode.RTL)
        self._watch_battery()
        if self.fence_enabled() and self.t_s - self._fence_checked_s >= FENCE_CHECK_S:
            self._fence_checked_s = self.t_s
            outside = not self.body.on_ground and self.is_outside_fence(self.place().lat_deg, self.place().lon_deg)
            if outside and not self.fence_breached:
                self._announce(SEVERITY_WARNING, "Polygon fence breached")
                if self.p["FENCE_ACTION"] != 0:
                    self._act("fence", Mode.RTL)
            self.fence_breached = outside

    def _watch_battery(self) -> None:
        volts, critical, low = self.voltage_v(), self.p["BATT_CRT_VOLT"], self.p["BATT_LOW_VOLT"]
        if volts < max(low, critical):
            self._low_since_s = self.t_s if self._low_since_s is None else self._low_since_s
        else:
            self._low_since_s = None
        lasted = self._low_since_s is not None and self.t_s - self._low_since_s >= self.p["BATT_LOW_TIMER"]
        if lasted and critical > 0 and volts < critical and self.failsafe != "battery critical":
            self._announce(SEVERITY_CRITICAL, f"Battery 1 is critical {volts:.2f}V used {self._used_mah()} mAh")
            self._act("battery critical", BATTERY_ACTIONS.get(int(self.p["BATT_FS_CRT_ACT"])))
        elif lasted and self.failsafe not in ("battery", "battery critical"):
            self._announce(SEVERITY_WARNING, f"Battery 1 is low {volts:.2f}V used {self._used_mah()} mAh")
            self._act("battery", BATTERY_ACTIONS.get(int(self.p["BATT_FS_LOW_ACT"])))

    def _used_mah(self) -> int:
        return round(self.body.battery.used_mah)

    def _act(self, failsafe: str, mode: Mode | None) -> None:
        """What a failsafe does: disarm on the ground, else the mode, or LAND when that is not to be had. None: only tell."""
        self.failsafe = failsafe
        if mode is None:
            return
        if self.body.on_ground and not self._flown:
            self.disarm(force=True)
        elif self.mode is not Mode.LAND and not self.set_mode(mode):
            self.set_mode(Mode.LAND)

    def fence_enabled(self) -> bool:
        return self.fence_on or self.p["FENCE_ENABLE"] != 0

    def is_outside_fence(self, lat_deg: float, lon_deg: float) -> bool:
        """Whether a place is where the stored fence lets nobody; False where there is none."""
        items = self.store.items[FENCE] if self.store is not None else []
        inside_any, inclusions, i = False, 0, 0
        while i < len(items):
            item = items[i]
            if item.command in (5001, 5002):
                ring = items[i : i + int(item.p1)]
                within = in_ring(lat_deg, lon_deg, ring)
                i += len(ring)
            elif item.command in (5003, 5004):
                east, north = self.earth.to_local(item.lat_deg(), item.lon_deg())
                at = self.earth.to_local(lat_deg, lon_deg)
                within = math.hypot(at[0] - east, at[1] - north) <= item.p1
                i += 1
            else:
                i += 1
                continue
            if item.command in (5002, 5004) and within:
                return True
            if item.command in (5001, 5003):
                inclusions += 1
                inside_any = inside_any or within
        return inclusions > 0 and not inside_any

    def _watch_ground(self) -> None:
        if not self.body.on_ground:
            self._flown = True
            self._landed_since_s = self.t_s
            return
        if self._flown:
            coming_down = self.mode in (Mode.LAND, Mode.RTL, Mode.AUTO)
            if coming_down and self.t_s - self._landed_since_s >= LANDED_S:
                if self.mode is Mode.AUTO and self.mission is not None:
                    self._reached(self.mission.current)
                self.disarm(force=True)
        elif not self._taking_off and self.t_s - self._armed_s >= self.p["DISARM_DELAY"] > 0:
            self.disarm(force=True)
