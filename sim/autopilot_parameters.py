"""The simulated autopilot's parameters, by the names and the units of ArduCopter 4.7."""

from __future__ import annotations

DEFAULTS: dict[str, float] = {
    "MAV_SYSID": 1.0,
    "MAV_GCS_SYSID": 255.0,
    "FRAME_CLASS": 1.0,
    "ARMING_CHECK": 1.0,
    "DISARM_DELAY": 10.0,
    "AUTO_OPTIONS": 0.0,
    "WPNAV_SPEED": 1000.0,          # cm/s
    "WPNAV_SPEED_UP": 250.0,        # cm/s
    "WPNAV_SPEED_DN": 150.0,        # cm/s
    "WPNAV_RADIUS": 200.0,          # cm
    "LAND_SPEED": 50.0,             # cm/s
    "LAND_ALT_LOW": 1000.0,         # cm
    "RTL_ALT": 1500.0,              # cm
    "RTL_LOIT_TIME": 5000.0,        # ms
    "BATT_CAPACITY": 5200.0,        # mAh
    "BATT_LOW_VOLT": 0.0,           # V, 0 is off
    "BATT_CRT_VOLT": 0.0,           # V, 0 is off
    "BATT_LOW_TIMER": 10.0,         # s
    "BATT_FS_LOW_ACT": 0.0,         # none; 1 is LAND, 2 is RTL
    "BATT_FS_CRT_ACT": 0.0,
    "FS_GCS_ENABLE": 0.0,           # off, as ArduCopter ships; the fleet switches it on
    "FS_GCS_TIMEOUT": 5.0,          # s
    "FS_THR_ENABLE": 1.0,
    "FS_EKF_ACTION": 1.0,           # LAND
    "FENCE_ENABLE": 0.0,
    "FENCE_TYPE": 4.0,              # polygons
    "FENCE_ACTION": 1.0,            # RTL
    "FENCE_TOTAL": 0.0,
    "MIS_TOTAL": 0.0,
    "SIM_SPEEDUP": 1.0,
    "SIM_GPS1_ENABLE": 1.0,
    "SIM_WIND_SPD": 0.0,            # m/s
    "SIM_WIND_DIR": 180.0,          # degrees, where it comes from
    "SIM_WIND_TURB": 0.0,
    "SIM_BATT_VOLTAGE": 0.0,        # V, above 0 it overrides the battery model
    "SIM_RC_FAIL": 0.0,
}
NAME_LIMIT = 16                     # characters in PARAM_VALUE


class Parameters:
    """A table in a fixed order, so that an index means the same parameter as long as the process lives."""

    def __init__(self, overrides: dict[str, float]) -> None:
        unknown = sorted(set(overrides) - set(DEFAULTS))
        if unknown:
            raise ValueError(f"no such parameter: {', '.join(unknown)}")
        self._values = {**DEFAULTS, **overrides}
        self.names = tuple(sorted(self._values))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def set(self, name: str, value: float) -> None:
        if name not in self._values:
            raise KeyError(name)
        self._values[name] = value
