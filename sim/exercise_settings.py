"""An exercise as it stands in configs/exercises/*.toml: a world, who watches it, what happens to them, and what is asked.

The keys of a world (sim.world_settings) stand at the top of the file; [exercise] says what it is for. Injects are what the
trainer has prepared: at a time, on a condition, or by hand. Checked on load; an error names file, line and key.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sim.world_settings import AnyAct, LatLon, WorldSettings
from station.subjects import Category
from wire.optics import SensorKind
from wire.units import ObjectClass

FaultName = Literal["blind", "covered", "dark", "defocused", "frozen", "moved"]
DroneFaultName = Literal["gps", "link"]
Tool = Literal["drones", "watchlist", "orders", "teams"]
Measure = Literal[
    "pd", "time_to_alarm_p50_s", "false_alarms", "nuisance_alarms", "position_error_p50_m", "ellipse90_share", "f1",
    "alarms_most_10_min", "matches_asked", "acknowledged_p50_s", "right_reason_share", "lane_share", "gospa_mean_m",
]


class AboutSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """title, teaches: one line each, for the trainer who chooses. seconds: how long it goes.

    nothing_to_find: nobody crosses, and every alarm is about the innocent or about nothing.
    """

    title: str
    teaches: str
    seconds: float
    nothing_to_find: bool = False


class RecordWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one record of the watchlist. reports: what they say, in the record's order."""

    label: str = ""
    reason: str = ""
    what_to_do: str = ""
    reports: tuple[str, ...] = ()


class WordsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people read of an exercise, in one more language; what is empty is read as the file has it elsewhere.

    says: of injects that say something, by their id. watchlist: by the id of the record.
    """

    title: str = ""
    teaches: str = ""
    brief: str = ""
    says: dict[str, str] = {}
    watchlist: dict[str, RecordWords] = {}


class InLanguages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same in the languages of the screen, as station/static/language has them."""

    en: WordsSettings = WordsSettings()
    vi: WordsSettings = WordsSettings()


class CameraEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One camera on a mast. like: a node's settings file, whose lens, errors, detector and gate it has; what is given here
    stands in place of what the file says. fps: pictures a second.
    """

    id: str
    like: str
    position: LatLon | None = None
    height_agl_m: float | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    kind: SensorKind | None = None
    lamp_reach_m: float | None = None
    fps: float = 3.0


class DroneEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One drone that patrols a corridor out and back. like: the settings file of the node beside its camera.

    home: where it stands. height_m: above home. reach_m: along the corridor from its inland end; 0 for all that the border's
    buffer leaves.
    """

    id: str
    like: str
    home: LatLon
    corridor: str
    height_m: float = 32.0
    speed_m_s: float = 5.0
    reach_m: float = 400.0
    fps: float = 3.0


class VehicleEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    plate: str
    object_class: ObjectClass | None = None
    colour: str = ""


class ReportEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person reported before the exercise began: a corridor or a position, and for how many hours it holds."""

    by: str
    says: str
    corridor: str = ""
    position: LatLon | None = None
    radius_m: float = 100.0
    hours: float = 4.0


class SubjectEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One record of the exercise's watchlist; invented, like everything here. actor: whom of the world it is about."""

    id: str
    category: Category
    label: str
    reason: str
    what_to_do: str
    actor: str = ""
    plates: tuple[str, ...] = ()
    vehicles: tuple[VehicleEntry, ...] = ()
    corridors: tuple[str, ...] = ()
    party_size: int | None = None
    reports: tuple[ReportEntry, ...] = ()


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition. alarms: so many have been raised. actor: one of that name is beyond_m along the trail or road `on` (with
    towards_border: has come back before it). after: another inject was done wait_s ago.
    """

    alarms: int = 0
    actor: str = ""
    on: str = ""
    beyond_m: float = 0.0
    towards_border: bool = False
    after: str = ""
    wait_s: float = 0.0


class Inject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", kw_only=True):
    """Something that the trainer has prepared. at_s: after the start. when: a condition instead. Neither: by hand alone."""

    id: str
    at_s: float | None = None
    when: When | None = None


class WeatherInject(Inject, frozen=True, tag="weather"):
    """The weather changes over over_s seconds; what is not given stays."""

    over_s: float = 60.0
    cloud: float | None = None
    rain_mm_h: float | None = None
    visibility_m: float | None = None
    wind_mps: float | None = None


class CameraInject(Inject, frozen=True, tag="camera"):
    """A camera fails. for_s: 0 to the end."""

    camera: str
    fault: FaultName
    for_s: float = 0.0


class SplitInject(Inject, frozen=True, tag="split"):
    """The last `count` of a party go their own way from where they are."""

    actor: str
    count: int
    script: list[AnyAct]


class ReportInject(Inject, frozen=True, tag="report"):
    """Somebody calls in. subject: the record that it is about (an id of [[watchlist]]), or nobody's."""

    by: str
    says: str
    subject: str = ""
    corridor: str = ""
    position: LatLon | None = None
    radius_m: float = 100.0
    hours: float = 2.0


class DroneInject(Inject, frozen=True, tag="drone"):
    """A drone loses GPS, or its link. for_s: 0 to the end."""

    drone: str
    fault: DroneFaultName
    for_s: float = 0.0


class MessageInject(Inject, frozen=True, tag="message"):
    """A word of the exercise's direction to the trainees."""

    says: str


AnyInject = WeatherInject | CameraInject | SplitInject | ReportInject | DroneInject | MessageInject


class GoalEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measure of the score, with what it should be: at_least or at_most."""

    measure: Measure
    at_least: float | None = None
    at_most: float | None = None


class TraineesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """may_use: beside map and alarms. Without "drones" no drone is started, without "watchlist" the list is empty; "orders"
    (pictures from nodes) and "teams" are told to the trainees, and using them without is noted in the debrief.
    language: in which their watchlist, and what is reported to them, is written, where [words] has it.
    """

    may_use: tuple[Tool, ...] = ("drones", "watchlist", "orders", "teams")
    brief: str = ""
    language: Literal["vi", "en"] = "vi"


class ExerciseSettings(WorldSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """sector: its settings file. The rest of the world's keys are those of sim.world_settings."""

    exercise: AboutSettings
    sector: str
    cameras: tuple[CameraEntry, ...]
    drones: tuple[DroneEntry, ...] = ()
    watchlist: tuple[SubjectEntry, ...] = ()
    injects: tuple[AnyInject, ...] = ()
    goals: tuple[GoalEntry, ...] = ()
    trainees: TraineesSettings = TraineesSettings()
    words: InLanguages = InLanguages()
