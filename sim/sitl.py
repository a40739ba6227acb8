"""A real ArduPilot in an exercise: its own simulation (SITL) in the place of our model, at the same kind of ports.

Nothing of ArduPilot is part of this program: whoever has an `arducopter` built for SITL names it. It gets the home, wind and
battery of the drone's settings file, and the least parameters with which an ArduCopter can be armed. This process becomes
it, so that whoever started us watches, stops and silences the real one.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from mavlink.transports import parse_connection
from sim.autopilot import AutopilotSettings, load
from wire.settings import SettingsError

# From the base port on: SERIAL0, 1 and 2 are SITL's own defaults, 5 is one that we switch to MAVLink. The fleet, the node
# beside the camera, the camera of the simulated world and the exercise's direction each need one of their own.
OFFSETS = (0, 2, 3, 5)
FIRST_BASE, LAST_BASE, APART = 17_600, 18_600, 10
MODEL = "+"

# The least that an ArduCopter in SITL needs to be armed: a frame, a battery monitor, calibrated sensors and sticks.
PARAMETERS: dict[str, float] = {
    "FRAME_CLASS": 1, "FRAME_TYPE": 0, "BATT_MONITOR": 4, "FS_THR_ENABLE": 1, "MOT_BAT_VOLT_MIN": 9.6,
    "MOT_BAT_VOLT_MAX": 12.8, "MOT_THST_EXPO": 0.65, "MOT_THST_HOVER": 0.39, "SIM_BARO_RND": 0, "SERIAL5_PROTOCOL": 2,
    **{f"COMPASS_OFS{n}_{a}": v for n in ("", "2", "3") for a, v in (("X", 5), ("Y", 13), ("Z", -18))},
    **{f"RC{i}_{what}": v for i in range(1, 9) for what, v in (("MIN", 1000), ("MAX", 2000), ("TRIM", 1500))},
    **{f"INS_ACC{n}OFFS_{a}": 0.001 for n in ("", "2") for a in "XYZ"},
    **{f"INS_ACC{n}SCAL_{a}": 1.001 for n in ("", "2") for a in "XYZ"},
    **{f"INS_ACC3OFFS_{a}": 0 for a in "XYZ"}, **{f"INS_ACC3SCAL_{a}": 1 for a in "XYZ"},
}


@dataclass(frozen=True, slots=True)
class Flown:
    """By what the drone of an exercise is flown. sitl: an arducopter to start. connect: one that runs already, its first
    port as tcp:HOST:PORT, the others as OFFSETS has them. Neither: our own model.
    """

    sitl: Path | None = None
    connect: str = ""

    @property
    def is_real(self) -> bool:
        return self.sitl is not None or bool(self.connect)

    def ports(self) -> list[int]:
        """Raises SettingsError for an arducopter that is none, and for an address that is not this machine's."""
        if self.connect:
            try:
                endpoint = parse_connection(self.connect)
            except ValueError as error:
                raise SettingsError(f"--connect {self.connect}: {error}") from None
            if not self.connect.startswith("tcp:") or endpoint.host not in ("127.0.0.1", "localhost"):
                raise SettingsError(f"--connect {self.connect}: a simulation on this machine; give tcp:127.0.0.1:PORT")
            return [endpoint.port + n for n in OFFSETS]
        assert self.sitl is not None
        if not (self.sitl.is_file() and os.access(self.sitl, os.X_OK)):
            raise SettingsError(f"--sitl {self.sitl}: no program; name an arducopter that was built for SITL")
        return [_free_base() + n for n in OFFSETS]


def _free_base() -> int:
    for base in range(FIRST_BASE, LAST_BASE, APART):
        if all(_is_free(base + n) for n in range(APART)):
            return base
    raise SettingsError(f"--sitl: no ports are free between {FIRST_BASE} and {LAST_BASE}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def become_sitl(config: Path, binary: Path) -> int:
    """This process is an arducopter from here on, in a folder beside its settings; returns only by SettingsError."""
    s = load(config)
    folder = config.resolve().parent / "sitl"
    folder.mkdir(exist_ok=True)
    (folder / "defaults.parm").write_text(parameters_of(s), encoding="ascii")
    lat, lon = s.home
    binary = binary.resolve()
    command = [
        str(binary), "--model", MODEL, "--speedup", f"{s.speedup:g}", "--defaults", "defaults.parm", "--base-port",
        str(s.ports[0]), "--serial0", "tcp:0", "--serial1", "tcp:2", "--serial2", "tcp:3", "--serial5", "tcp:5",
        "--home", f"{lat},{lon},{s.home_msl_m:.1f},{s.heading_deg:g}", "--sysid", str(s.system_id),
    ]
    os.chdir(folder)
    try:
        os.execv(binary, command)
    except OSError as error:
        raise SettingsError(f"--sitl {binary}: cannot be run: {error.strerror}") from None


def parameters_of(s: AutopilotSettings) -> str:
    """As a file of defaults: what it needs, then what the exercise says."""
    said = {
        "BATT_CAPACITY": s.battery.capacity_mah, "SIM_WIND_SPD": s.wind.speed_m_s, "SIM_WIND_DIR": s.wind.from_deg,
        "SIM_WIND_TURB": s.wind.gust_m_s, "BATT_FS_LOW_ACT": s.parameters.get("BATT_FS_LOW_ACT", 2.0),
    }
    # Our model's cells have other voltages than SITL's three: thresholds in volts are left to ArduPilot's own.
    return "".join(f"{name} {value:g}\n" for name, value in (PARAMETERS | said).items())
