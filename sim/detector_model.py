"""A detector without pixels: who is found in a frame, with which score and box, as it was measured of the real one.

The chance of being found is a logistic curve over what is known of the object in the picture: its height in pixels, how
much of it is seen, light, fog and rain, depression, posture. Its coefficients, the scores, the errors of the boxes, and how
long a miss lasts were fitted to pictures of the simulated cameras that went through a node's own motion gate, detector and
tracker (sim.detector_model_measure, sim.detector_model_fit). What it found where nobody was is not modelled but played
again, as it was measured, in the same order. The model is worth what the rendered pictures are worth, and no more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtri

from geofences.geodesy import Array
from sim.world_state import Posture

FILE = Path(__file__).parent / "assets" / "detector_model.json"
LOW = (Posture.CROUCH, Posture.CROUCH_WALK, Posture.REST, Posture.LIE)
BENT = (Posture.WORK,)          # over a field, among what grows there
FEATURES = (
    "one", "log_height", "log_height_squared", "hidden", "grey", "grey_distance", "haze", "rain", "depression", "low",
    "bent",
)
THERMAL_GROUP = "_thermal"
REFERENCE_PX = 48.0
CONTRAST = 3.912                # meteorological visibility times extinction (Koschmieder)
SCORES = (0.1, 0.97)            # what the node's detector gives at the least (edge.detector.LOWEST_SCORE), and at the most


class Persistence(msgspec.Struct, frozen=True):
    """Of what makes a miss (variance of a normal): how much stays the same for one object before one camera, how much lasts
    a while, and how long.
    """

    standing_share: float
    lasting_share: float
    lasting_s: float


class GroupModel(msgspec.Struct, frozen=True):
    """Of one group of objects. weights: of FEATURES. score: logit of the score over the logit of the chance: offset, slope,
    one sigma. box: offsets as shares of the box's height (width for aside): mean and sigma of foot, top, and aside.
    rows, found: what it was fitted to. persistence: None for the model's own.
    """

    weights: tuple[float, ...]
    score: tuple[float, float, float]
    foot: tuple[float, float]
    top: tuple[float, float]
    aside: tuple[float, float]
    rows: int
    found: int
    persistence: Persistence | None = None


class FalseFind(msgspec.Struct, frozen=True, array_like=True):
    """picture: its number within the stand. box: shares of the picture's sides."""

    picture: int
    box: tuple[float, float, float, float]
    score: float
    object_class: int


class Stand(msgspec.Struct, frozen=True):
    """What one measured camera found where nobody was."""

    name: str
    grey: bool
    rain: bool
    pictures: int
    false_finds: tuple[FalseFind, ...]
    thermal: bool = False


class DetectorModel(msgspec.Struct, frozen=True):
    """weights: the network's file. score_threshold: of the node. groups: "person", "vehicle" (boats as these), and
    the same with THERMAL_GROUP behind them, before a thermal camera, where so many were measured.

    lasting_share, lasting_s: of what makes a miss, how much of it (variance of a normal) lasts, and how long.
    standing_share: how much stays the same for one object before one camera. fps: of the measured pictures.
    animal: chance that an animal is taken for a person, in one picture, and the mean and sigma of the score's logit.
    """

    weights: str
    input_size_px: int
    measured: str
    pictures: int
    fps: float
    groups: dict[str, GroupModel]
    standing_share: float
    lasting_share: float
    lasting_s: float
    wobble_share: float
    wobble_s: float
    animal: tuple[float, float, float]
    stands: tuple[Stand, ...]

    @property
    def persistence(self) -> Persistence:
        return Persistence(self.standing_share, self.lasting_share, self.lasting_s)


@dataclass(frozen=True, slots=True, eq=False)
class Sights:
    """n objects as they are to be seen in one picture; each array is (n,).

    high_px: height of the box. visible: share of it that is seen, 0 to 1. grey: the camera shows grey, by its lamp.
    """

    high_px: Array
    visible: Array
    grey: npt.NDArray[np.bool_]
    distance_m: Array
    visibility_m: Array
    rain_mm_h: Array
    depression_deg: Array
    low: npt.NDArray[np.bool_]
    bent: npt.NDArray[np.bool_]

    def features(self) -> Array:
        """(n, len(FEATURES))."""
        log_height = np.log(np.maximum(self.high_px, 1.0) / REFERENCE_PX)
        grey = self.grey.astype(float)
        return np.column_stack([
            np.ones(len(log_height)), log_height, log_height**2, 1.0 - self.visible, grey,
            grey * self.distance_m / 60.0, CONTRAST * self.distance_m / self.visibility_m,
            np.sqrt(self.rain_mm_h) / 4.0, self.depression_deg / 30.0, self.low.astype(float),
            self.bent.astype(float),
        ])


def chances(model: GroupModel, sights: Sights) -> Array:
    """(n,) that each is found when the detector looks there."""
    return np.asarray(expit(sights.features() @ np.array(model.weights)), dtype=float)


@cache
def detector_model(path: Path = FILE) -> DetectorModel:
    """The one that comes with the program."""
    return msgspec.json.decode(path.read_bytes(), type=DetectorModel)


def group_in(model: DetectorModel, name: str, thermal: bool) -> GroupModel:
    """The curve of a group before a camera: a thermal one's own, and where too few were measured the daylight one's."""
    return model.groups.get(f"{name}{THERMAL_GROUP}", model.groups[name]) if thermal else model.groups[name]


class Luck:
    """What decides, for one object before one camera, whether it is found: part stands, part lasts a while, part is fresh.

    A normal number, compared with the quantile of the chance; so a run of misses is as long as a measured one.
    """

    def __init__(self, model: DetectorModel, chance: np.random.Generator) -> None:
        self._model = model
        self._chance = chance
        self._standing = float(chance.standard_normal())
        self._lasting = float(chance.standard_normal())
        self._wobble = chance.standard_normal(3)
        self._at_s = 0.0

    def draw(self, p: float, at_s: float, persistence: Persistence | None = None) -> bool:
        """Whether it is found at a time; times rise. persistence: of its group, None for the model's own."""
        m, lasts = self._model, persistence or self._model.persistence
        passed_s, self._at_s = max(at_s - self._at_s, 0.0), at_s
        keeps = math.exp(-passed_s / lasts.lasting_s)
        self._lasting = keeps * self._lasting + math.sqrt(1 - keeps**2) * float(self._chance.standard_normal())
        keeps = math.exp(-passed_s / m.wobble_s)
        self._wobble = keeps * self._wobble + math.sqrt(1 - keeps**2) * self._chance.standard_normal(3)
        fresh = 1.0 - lasts.standing_share - lasts.lasting_share
        z = (
            math.sqrt(lasts.standing_share) * self._standing + math.sqrt(lasts.lasting_share) * self._lasting
            + math.sqrt(max(fresh, 0.0)) * float(self._chance.standard_normal())
        )
        return bool(z < ndtri(min(max(p, 1e-9), 1 - 1e-9)))

    def score(self, group: GroupModel, p: float) -> float:
        """Of a find whose chance was p."""
        offset, slope, sigma = group.score
        logit = math.log(p / (1 - p)) if 1e-6 < p < 1 - 1e-6 else math.copysign(13.8, p - 0.5)
        value = 1.0 / (1.0 + math.exp(-(offset + slope * logit + sigma * float(self._chance.standard_normal()))))
        return min(max(value, SCORES[0]), SCORES[1])

    def box(self, group: GroupModel, true_box: Array) -> Array:
        """(4,) what the detector makes of a true box."""
        high, wide = true_box[3] - true_box[1], true_box[2] - true_box[0]
        share = self._model.wobble_share
        z = math.sqrt(share) * self._wobble + math.sqrt(1 - share) * self._chance.standard_normal(3)
        foot, top, aside = (mean + sigma * float(v) for (mean, sigma), v in
                            zip((group.foot, group.top, group.aside), z, strict=True))
        return np.array([
            true_box[0] + aside * wide, true_box[1] + top * high, true_box[2] + aside * wide, true_box[3] + foot * high,
        ])


class FalseFinds:
    """What one camera finds where nobody is: pictures of a measured stand of the same light, in their order."""

    def __init__(self, model: DetectorModel, chance: np.random.Generator) -> None:
        self._model = model
        self._chance = chance
        self._stand: Stand | None = None
        self._by_picture: dict[int, list[FalseFind]] = {}
        self._next = 0

    def draw(self, grey: bool, rain: bool, thermal: bool = False) -> list[FalseFind]:
        """Of the next picture."""
        if self._stand is None or (self._stand.grey, self._stand.rain, self._stand.thermal) != (grey, rain, thermal):
            self._begin(grey, rain, thermal)
        if self._stand is None or self._stand.pictures == 0:
            return []
        found = self._by_picture.get(self._next, [])
        self._next = (self._next + 1) % self._stand.pictures
        return found

    def _begin(self, grey: bool, rain: bool, thermal: bool) -> None:
        of_kind = [s for s in self._model.stands if s.thermal == thermal] or list(self._model.stands)
        fitting = [s for s in of_kind if s.grey == grey and s.rain == rain]
        fitting = fitting or [s for s in of_kind if s.grey == grey] or of_kind
        if not fitting:
            return
        chosen = fitting[int(self._chance.integers(len(fitting)))]
        # Held to this light, so that a stand of another one is not looked for again at every picture.
        self._stand = msgspec.structs.replace(chosen, grey=grey, rain=rain, thermal=thermal)
        self._by_picture = {}
        for find in chosen.false_finds:
            self._by_picture.setdefault(find.picture, []).append(find)
        self._next = int(self._chance.integers(max(chosen.pictures, 1)))
