"""Stone Soup's trackers on a film of sightings: global nearest neighbour, and JPDA.

It is given the frames in the order in which they were taken, which is easier than the order of arrival that ours has.
Models: constant velocity, each detection with its own covariance, as its tutorials have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from geofences.geodesy import Array
from sim.sightings import Film

INTENSITY = 0.1         # of the white-noise acceleration, m^2/s^3
SPEED_SIGMA_M_S = 1.5
FEET_APART = 3.0        # standard deviations: beyond it a detection is missed
P_SEEN = 0.9
CLUTTER_M2 = 1e-5       # density of ghosts
LEAST_POINTS = 3
LOST_S = 3.0


def tracked(film: Film, jpda: bool) -> list[dict[str, Array]]:
    """For each of the film's truths: place (2,) of each track by its id."""
    frames = sorted((f for f in film.frames), key=lambda f: (f.captured_ns, f.sensor))
    begin = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
    zero_ns = frames[0].captured_ns

    def when(ns: int) -> datetime:
        return begin + timedelta(microseconds=(ns - zero_ns) / 1e3)

    from stonesoup.models.measurement.linear import LinearGaussian
    from stonesoup.types.detection import Detection

    def detections() -> Iterator[tuple[datetime, set[Any]]]:
        for f in frames:
            yield when(f.captured_ns), {
                Detection(
                    s.position_m[:, None], timestamp=when(f.captured_ns),
                    measurement_model=LinearGaussian(4, (0, 2), s.covariance_m2),
                )
                for s in f.seen
            }

    tracker, predictor = _tracker(list(detections()), jpda)
    found: list[dict[str, Array]] = []
    truths = iter(film.truths)
    truth = next(truths, None)
    alive: set[Any] = set()
    for now, tracks in tracker:
        while truth is not None and when(truth.at_ns) < now:
            found.append(_places(alive, predictor, when(truth.at_ns)))
            truth = next(truths, None)
        alive = set(tracks)
    while truth is not None:
        found.append(_places(alive, predictor, when(truth.at_ns)))
        truth = next(truths, None)
    return found


def _places(tracks: set[Any], predictor: Any, at: datetime) -> dict[str, Array]:
    return {
        t.id: np.asarray(predictor.predict(t.state, timestamp=at).state_vector, float)[[0, 2], 0] for t in tracks
    }


def _tracker(detections: list[tuple[datetime, set[Any]]], jpda: bool) -> tuple[Any, Any]:
    from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
    from stonesoup.dataassociator.probability import JPDA
    from stonesoup.deleter.time import UpdateTimeDeleter
    from stonesoup.hypothesiser.distance import DistanceHypothesiser
    from stonesoup.hypothesiser.probability import PDAHypothesiser
    from stonesoup.initiator.simple import MultiMeasurementInitiator
    from stonesoup.measures import Mahalanobis
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
    from stonesoup.predictor.kalman import KalmanPredictor
    from stonesoup.tracker.simple import MultiTargetMixtureTracker, MultiTargetTracker
    from stonesoup.types.state import GaussianState
    from stonesoup.updater.kalman import KalmanUpdater

    predictor = KalmanPredictor(
        CombinedLinearGaussianTransitionModel([ConstantVelocity(INTENSITY), ConstantVelocity(INTENSITY)])
    )
    updater = KalmanUpdater(None)
    deleter = UpdateTimeDeleter(timedelta(seconds=LOST_S))
    nearest = GNNWith2DAssignment(DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=FEET_APART))
    prior = GaussianState([[0.0]] * 4, np.diag([0.0, SPEED_SIGMA_M_S**2, 0.0, SPEED_SIGMA_M_S**2]))
    initiator = MultiMeasurementInitiator(
        prior_state=prior, measurement_model=None, deleter=deleter, data_associator=nearest, updater=updater,
        min_points=LEAST_POINTS,
    )
    parts = {"initiator": initiator, "deleter": deleter, "detector": detections, "updater": updater}
    if not jpda:
        return MultiTargetTracker(data_associator=nearest, **parts), predictor
    probable = JPDA(PDAHypothesiser(predictor, updater, clutter_spatial_density=CLUTTER_M2, prob_detect=P_SEEN))
    return MultiTargetMixtureTracker(data_associator=probable, **parts), predictor
