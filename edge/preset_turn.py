"""What is asked of the process that turns a camera to a preset (edge.preset_mover), and its answer."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wire.node_words import NodeText, Worded


class TurnedBy(StrEnum):
    """Who turns the camera. none: nobody here; an order only says that somebody has turned it by other means."""

    ONVIF = "onvif"
    HTTP = "http"
    NONE = "none"


class Turn(msgspec.Struct, frozen=True):
    """What is asked: the settings' [ptz], as edge.camera_settings.PtzSettings has them, and the preset's token."""

    by: TurnedBy
    token: str
    host: str
    port: int
    profile: str
    url: str
    user: str
    password: str
    turn_s: float


class Outcome(StrEnum):
    ARRIVED = "arrived"
    REFUSED = "refused"         # it looks where it looked before
    LOST = "lost"               # it may have begun to turn, and nobody knows where it looks now


class Turned(msgspec.Struct, frozen=True):
    """The answer. why: in words, empty when it has arrived; worded: the same as a key and its values."""

    outcome: Outcome
    why: str = ""
    worded: Worded = Worded()

    @property
    def text(self) -> NodeText:
        return NodeText(self.why, self.worded)


def not_turned(outcome: Outcome, why: NodeText) -> Turned:
    return Turned(outcome, str(why), why.worded)
