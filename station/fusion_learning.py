"""What a measurement that can be of one contact alone teaches about the sensor that made it."""

from __future__ import annotations

import numpy as np

from station.contacts import MOTIONS, Contact
from station.fusion_lag import Step
from station.fusion_offsets import Offsets
from wire.clock import NS_PER_S

SHARED_WITHIN_NS = 350_000_000      # two sensors saw it at the same moment; between, it goes on at its speed
SHARED_EVERY_NS = NS_PER_S          # measurements that follow each other err alike: one a second is news
SCATTER_NS = 800_000_000            # between the three positions of a line: longer than a gait's wobble
SCATTER_EVERY_NS = NS_PER_S


def learn_from(contact: Contact, step: Step, offsets: Offsets) -> None:
    """step: of this contact, not yet among its steps."""
    if not contact.steps or step.at_ns < contact.steps[-1].at_ns - SHARED_WITHIN_NS:
        return
    if step.at_ns - contact.learned_ns.get(step.sensor, 0) < SHARED_EVERY_NS:
        return
    contact.learned_ns[step.sensor] = step.at_ns
    k = offsets.knows(step.sensor)
    _scatter(contact, step, k, offsets)
    told: set[str] = {step.sensor}
    for other in reversed(contact.steps):
        if abs(step.at_ns - other.at_ns) > SHARED_WITHIN_NS:
            break
        if other.slot < 0 or other.sensor in told:
            continue
        told.add(other.sensor)
        dt_s = (step.at_ns - other.at_ns) / 1e9
        differ = step.raw_m - other.raw_m - contact.estimate.mean[2:] * dt_s
        noise = step.noise_m2 + other.noise_m2 + contact.estimate.covariance[2:, 2:] * dt_s**2
        offsets.learn(offsets.knows(other.sensor), other.lever_m, k, step.lever_m, differ, noise)


def _scatter(contact: Contact, step: Step, k: int, offsets: Offsets) -> None:
    line = [step]
    for other in reversed(contact.steps):
        if other.sensor == step.sensor and other.slot >= 0 and line[-1].at_ns - other.at_ns >= SCATTER_NS:
            line.append(other)
            if len(line) == 3:
                break
    else:
        return
    third, second, first = line
    later, before = (third.at_ns - second.at_ns) / 1e9, (second.at_ns - first.at_ns) / 1e9
    r = later / before
    off = third.raw_m - second.raw_m - r * (second.raw_m - first.raw_m)
    whole = offsets.whole(k, second.lever_m)
    whitened = np.linalg.solve(whole, np.column_stack([off, np.eye(2)]))
    # A walker who goes on does not go quite straight: that much is no noise of the sensor.
    moved = MOTIONS[contact.group].intensity[0] * (later**3 + r**2 * before**3) / 3.0
    square = np.maximum(whitened[:, 0] ** 2 - moved * (whitened[:, 1:] ** 2).sum(axis=1), 0.0)
    offsets.note_scatter(k, square, 1.0 + (1.0 + r) ** 2 + r**2)


