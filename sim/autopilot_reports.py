"""What the simulated autopilot reports: one builder a message, and which of them a data stream holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from sim.autopilot_flight import Flight
from sim.autopilot_modes import Mode

Builder = Callable[[Flight, int], Any]      # the flight and UTC nanoseconds to one message

# MAV_SYS_STATUS_SENSOR bits
GPS, MOTORS, GEOFENCE, AHRS, BATTERY, PREARM = 1 << 5, 1 << 15, 1 << 20, 1 << 21, 1 << 25, 1 << 28
SENSORS_ALWAYS = 0b1111 | 1 << 10 | 1 << 11 | 1 << 13 | 1 << 14 | 1 << 16 | MOTORS


def heartbeat(f: Flight, utc_ns: int) -> Any:
    del utc_ns
    base = mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
    if f.armed:
        base |= mavlink.MAV_MODE_FLAG_SAFETY_ARMED
    if f.mode in (Mode.AUTO, Mode.GUIDED, Mode.RTL, Mode.LAND):
        base |= mavlink.MAV_MODE_FLAG_GUIDED_ENABLED
    base |= mavlink.MAV_MODE_FLAG_STABILIZE_ENABLED | mavlink.MAV_MODE_FLAG_MANUAL_INPUT_ENABLED
    if f.failsafe and f.armed:
        status = mavlink.MAV_STATE_CRITICAL
    else:
        status = mavlink.MAV_STATE_STANDBY if f.body.on_ground else mavlink.MAV_STATE_ACTIVE
    return mavlink.MAVLink_heartbeat_message(
        mavlink.MAV_TYPE_QUADROTOR, mavlink.MAV_AUTOPILOT_ARDUPILOTMEGA, base, int(f.mode), status, 3
    )


def sys_status(f: Flight, utc_ns: int) -> Any:
    del utc_ns
    fence = GEOFENCE if f.fence_enabled() else 0
    present = SENSORS_ALWAYS | GPS | AHRS | BATTERY | PREARM | (GEOFENCE if f.p["FENCE_TOTAL"] > 0 or fence else 0)
    healthy = SENSORS_ALWAYS | BATTERY
    healthy |= GPS if f.gps_fix() >= 3 else 0
    healthy |= AHRS if f.position_ok() else 0
    healthy |= PREARM if f.prearm_ok() else 0
    healthy |= fence if not f.fence_breached else 0
    return mavlink.MAVLink_sys_status_message(
        present, SENSORS_ALWAYS | GPS | AHRS | BATTERY | PREARM | fence, healthy, 120,
        round(f.voltage_v() * 1000), round(f.body.battery.current_a * 100), round(f.body.battery.remaining() * 100),
        0, 0, 0, 0, 0, 0,
    )


def global_position_int(f: Flight, utc_ns: int) -> Any:
    """Once it is lost the last place is told, as the real one does; its height over home goes on."""
    del utc_ns
    if f.gps_fix() >= 3 or f.position_ok():
        f.last_place = f.place()
    here = f.last_place
    lat, lon, msl = (here.lat_deg, here.lon_deg, here.msl_m) if here else (0.0, 0.0, 0.0)
    b = f.body
    return mavlink.MAVLink_global_position_int_message(
        boot_ms(f), round(lat * 1e7), round(lon * 1e7), round(msl * 1000),
        round((b.reported_up_m() - f.home_target().up) * 1000),
        round(b.velocity_north_m_s * 100), round(b.velocity_east_m_s * 100), round(-b.velocity_up_m_s * 100),
        round(b.yaw_deg * 100) % 36000,
    )


def attitude(f: Flight, utc_ns: int) -> Any:
    del utc_ns
    roll_deg, pitch_deg, yaw_deg = f.body.reported_attitude_deg()
    yaw = math.radians((yaw_deg + 180.0) % 360.0 - 180.0)
    return mavlink.MAVLink_attitude_message(
        boot_ms(f), math.radians(roll_deg), math.radians(pitch_deg), yaw, 0.0, 0.0,
        math.radians(f.body.yaw_rate_deg_s),
    )


def gps_raw_int(f: Flight, utc_ns: int) -> Any:
    fix = f.gps_fix()
    here = f.place() if fix >= 3 else None
    lat, lon, msl = (here.lat_deg, here.lon_deg, here.msl_m) if here else (0.0, 0.0, 0.0)
    course = math.degrees(math.atan2(f.body.velocity_east_m_s, f.body.velocity_north_m_s)) % 360.0
    good = fix >= 3
    return mavlink.MAVLink_gps_raw_int_message(
        utc_ns // 1000, fix, round(lat * 1e7), round(lon * 1e7), round(msl * 1000), 121 if good else 9999,
        200 if good else 9999, round(f.body.ground_speed_m_s() * 100), round(course * 100) % 36000, 10 if good else 0,
        0, 300 if good else 0, 400 if good else 0, 300 if good else 0, 0, 0,
    )


def vfr_hud(f: Flight, utc_ns: int) -> Any:
    del utc_ns
    speed = f.body.ground_speed_m_s()
    throttle = 0 if not f.armed or f.body.on_ground else 39
    return mavlink.MAVLink_vfr_hud_message(
        speed, speed, round(f.body.yaw_deg) % 360, throttle, f.start.msl_m + f.body.up_m, f.body.velocity_up_m_s
    )


def battery_status(f: Flight, utc_ns: int) -> Any:
    del utc_ns
    return mavlink.MAVLink_battery_status_message(
        0, 0, 0, 32767, [round(f.voltage_v() * 1000), *[65535] * 9], round(f.body.battery.current_a * 100),
        round(f.body.battery.used_mah), -1, round(f.body.battery.remaining() * 100), 0, 1,
    )


def home_position(f: Flight, utc_ns: int) -> Any:
    h = f.home
    return mavlink.MAVLink_home_position_message(
        round(h.lat_deg * 1e7), round(h.lon_deg * 1e7), round(h.msl_m * 1000), 0.0, 0.0, 0.0, [1.0, 0.0, 0.0, 0.0],
        0.0, 0.0, 0.0, utc_ns // 1000,
    )


def mission_current(f: Flight, utc_ns: int) -> Any:
    del utc_ns
    total = max(0, len(f.items()) - 1)
    if total == 0:
        state = mavlink.MISSION_STATE_NO_MISSION
    elif f.mission is not None and f.mission.finished:
        state = mavlink.MISSION_STATE_COMPLETE
    elif f.mode is Mode.AUTO and f.armed and not f.body.on_ground:
        state = mavlink.MISSION_STATE_ACTIVE
    else:
        state = mavlink.MISSION_STATE_NOT_STARTED
    return mavlink.MAVLink_mission_current_message(f.mission_seq, total, state, 1 if f.mode is Mode.AUTO else 2)


def ekf_status_report(f: Flight, utc_ns: int) -> Any:
    del utc_ns
    flags = mavlink.EKF_ATTITUDE | mavlink.EKF_VELOCITY_HORIZ | mavlink.EKF_VELOCITY_VERT | mavlink.EKF_POS_VERT_ABS
    if f.position_ok():
        flags |= mavlink.EKF_POS_HORIZ_REL | mavlink.EKF_POS_HORIZ_ABS
        flags |= mavlink.EKF_PRED_POS_HORIZ_REL | mavlink.EKF_PRED_POS_HORIZ_ABS
    else:
        flags |= mavlink.EKF_CONST_POS_MODE
    return mavlink.MAVLink_ekf_status_report_message(flags, 0.05, 0.05, 0.02, 0.05, 0.0, 0.0)


def gimbal_device_attitude_status(f: Flight, utc_ns: int) -> Any:
    """In the earth-down, vehicle-heading frame; the rates are NaN, as ArduPilot's are for a mount without a gyro."""
    del utc_ns
    pitch, yaw = math.radians(f.gimbal_pitch_deg) / 2.0, math.radians(f.gimbal_yaw_deg) / 2.0
    q = [
        math.cos(pitch) * math.cos(yaw), -math.sin(pitch) * math.sin(yaw),
        math.sin(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw),
    ]
    flags = mavlink.GIMBAL_DEVICE_FLAGS_ROLL_LOCK | mavlink.GIMBAL_DEVICE_FLAGS_PITCH_LOCK
    flags |= mavlink.GIMBAL_DEVICE_FLAGS_YAW_IN_VEHICLE_FRAME
    if f.region_of_interest is not None:
        flags |= mavlink.GIMBAL_DEVICE_FLAGS_YAW_LOCK
    nan = float("nan")
    return mavlink.MAVLink_gimbal_device_attitude_status_message(
        0, 0, boot_ms(f), flags, q, nan, nan, nan, 0, nan, nan, 1
    )


def sim_state(f: Flight, utc_ns: int) -> Any:
    """Where it really is, as ArduPilot's simulation says it too: for whoever draws what its camera sees."""
    del utc_ns
    b = f.body
    lat, lon = f.earth.to_degrees(b.east_m, b.north_m)
    roll, pitch, yaw = (math.radians(a) for a in (b.roll_deg, b.pitch_deg, (b.yaw_deg + 180.0) % 360.0 - 180.0))
    cr, sr, cp, sp, cy, sy = (g(a / 2) for a in (roll, pitch, yaw) for g in (math.cos, math.sin))
    q = (
        cr * cp * cy + sr * sp * sy, sr * cp * cy - cr * sp * sy, cr * sp * cy + sr * cp * sy, cr * cp * sy - sr * sp * cy,
    )
    return mavlink.MAVLink_sim_state_message(
        *q, roll, pitch, yaw, 0.0, 0.0, -9.81, 0.0, 0.0, math.radians(b.yaw_rate_deg_s), lat, lon, f.start.msl_m + b.up_m,
        0.0, 0.0, b.velocity_north_m_s, b.velocity_east_m_s, -b.velocity_up_m_s, round(lat * 1e7), round(lon * 1e7),
    )


def system_time(f: Flight, utc_ns: int) -> Any:
    return mavlink.MAVLink_system_time_message(utc_ns // 1000, boot_ms(f))


def extended_sys_state(f: Flight, utc_ns: int) -> Any:
    del utc_ns
    return mavlink.MAVLink_extended_sys_state_message(0, f.landed_state())


def boot_ms(f: Flight) -> int:
    return round(f.t_s * 1000)


BUILDERS: dict[int, Builder] = {
    mavlink.MAVLINK_MSG_ID_HEARTBEAT: heartbeat,
    mavlink.MAVLINK_MSG_ID_SYS_STATUS: sys_status,
    mavlink.MAVLINK_MSG_ID_SYSTEM_TIME: system_time,
    mavlink.MAVLINK_MSG_ID_GPS_RAW_INT: gps_raw_int,
    mavlink.MAVLINK_MSG_ID_ATTITUDE: attitude,
    mavlink.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: global_position_int,
    mavlink.MAVLINK_MSG_ID_MISSION_CURRENT: mission_current,
    mavlink.MAVLINK_MSG_ID_VFR_HUD: vfr_hud,
    mavlink.MAVLINK_MSG_ID_BATTERY_STATUS: battery_status,
    mavlink.MAVLINK_MSG_ID_EKF_STATUS_REPORT: ekf_status_report,
    mavlink.MAVLINK_MSG_ID_HOME_POSITION: home_position,
    mavlink.MAVLINK_MSG_ID_EXTENDED_SYS_STATE: extended_sys_state,
    mavlink.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS: gimbal_device_attitude_status,
    mavlink.MAVLINK_MSG_ID_SIM_STATE: sim_state,
}

# REQUEST_DATA_STREAM's groups, as ArduCopter fills them (of those that are built here).
STREAMS: dict[int, tuple[int, ...]] = {
    mavlink.MAV_DATA_STREAM_EXTENDED_STATUS: (
        mavlink.MAVLINK_MSG_ID_SYS_STATUS, mavlink.MAVLINK_MSG_ID_MISSION_CURRENT, mavlink.MAVLINK_MSG_ID_GPS_RAW_INT,
    ),
    mavlink.MAV_DATA_STREAM_POSITION: (mavlink.MAVLINK_MSG_ID_GLOBAL_POSITION_INT,),
    mavlink.MAV_DATA_STREAM_EXTRA1: (mavlink.MAVLINK_MSG_ID_ATTITUDE,),
    mavlink.MAV_DATA_STREAM_EXTRA2: (mavlink.MAVLINK_MSG_ID_VFR_HUD,),
    mavlink.MAV_DATA_STREAM_EXTRA3: (
        mavlink.MAVLINK_MSG_ID_SYSTEM_TIME, mavlink.MAVLINK_MSG_ID_BATTERY_STATUS,
        mavlink.MAVLINK_MSG_ID_EKF_STATUS_REPORT, mavlink.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS,
    ),
}
STREAMS[mavlink.MAV_DATA_STREAM_ALL] = tuple(i for group in STREAMS.values() for i in group)
