"""The process that turns a camera to a preset, once: takes a Turn as JSON on its standard input, answers with one Turned.

    python -m edge.preset_mover < turn.json

A process of its own, because ONVIF's library takes 60 MB that a node needs for seconds in a day. It ends when the camera
has arrived, has refused, or has not said for too long.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

import msgspec

from edge.preset_turn import Outcome, Turn, Turned, TurnedBy, not_turned
from wire.clock import WallClock
from wire.node_words import NodeText, node_text
from wire.process import die_with_parent

ANSWER_S = 10.0                 # for each question to a camera; those on a radio link take a second or two
POLL_S = 0.5                    # between two questions whether it still turns
BEGIN_S = 1.0                   # before that, some say idle because they have not begun
SAME = 1e-4                     # of ONVIF's generic spaces, -1 to 1: a position that has not changed


class _Refused(Exception):
    """Nothing was turned; its text says why."""

    def __init__(self, text: NodeText) -> None:
        super().__init__(str(text))
        self.text = text


class _Unsure(Exception):
    """The camera was told to turn, and nobody knows what it does."""

    def __init__(self, text: NodeText) -> None:
        super().__init__(str(text))
        self.text = text


def turn(asked: Turn) -> Turned:
    """Turn the camera and wait for it. Raises nothing for anything that a camera does."""
    try:
        if asked.by is TurnedBy.HTTP:
            _by_http(asked)
        else:
            asyncio.run(_by_onvif(asked))
    except _Refused as refusal:
        return not_turned(Outcome.REFUSED, refusal.text)
    except Exception as error:  # noqa: BLE001 -- whatever it was, the camera was told to turn before it
        return not_turned(Outcome.LOST, node_text("turn_broke", error=_in_words(error)))
    return Turned(Outcome.ARRIVED)


# --------------------------------------------------------------------------------------------------------------- HTTP


def _by_http(asked: Turn) -> None:
    """A GET turns it; that it has arrived nobody says, so it is given its time."""
    url = asked.url.replace("{token}", urllib.parse.quote(asked.token, safe=""))
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if asked.user:
        passwords.add_password(None, url, asked.user, asked.password)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPDigestAuthHandler(passwords),
        urllib.request.HTTPBasicAuthHandler(passwords),
    )
    try:
        with opener.open(url, timeout=ANSWER_S) as answer:
            answer.read(4096)
    except urllib.error.HTTPError as error:
        key = "camera_password" if error.code == 401 else "camera_answers"
        raise _Refused(node_text(key, status=error.code, text=str(error.reason))) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise TimeoutError from None        # connected or not: it may have heard
        raise _Refused(node_text("camera_silent", error=_in_words(error.reason))) from None
    except ValueError as error:                 # of digest: a scheme that Python does not know
        raise _Refused(node_text("camera_login", error=str(error))) from None
    WallClock().sleep(asked.turn_s)


# -------------------------------------------------------------------------------------------------------------- ONVIF


async def _by_onvif(asked: Turn) -> None:
    """GotoPreset of the ONVIF PTZ service (specification 5.4), then GetStatus until it stands."""
    try:
        from onvif import ONVIFCamera
    except ImportError:
        raise _Refused(node_text("no_onvif")) from None
    import aiohttp
    from onvif.exceptions import ONVIFError
    from zeep.exceptions import Error as SoapError
    from zeep.exceptions import Fault

    logging.disable(logging.WARNING)
    # Its digest holds the time: with a camera whose clock is wrong it goes by the camera's.
    camera = ONVIFCamera(asked.host, asked.port, asked.user or None, asked.password or None, adjust_time=True)
    try:
        try:
            async with asyncio.timeout(3 * ANSWER_S):
                await camera.update_xaddrs()
                ptz = await camera.create_ptz_service()
                profile = asked.profile or await _turning_profile(camera)
                before = await _status(ptz, profile)
        except (ONVIFError, SoapError, aiohttp.ClientError, OSError, AttributeError) as error:
            raise _Refused(_complaint(f"{asked.host}:{asked.port}", error)) from None
        try:
            async with asyncio.timeout(ANSWER_S):
                await ptz.GotoPreset({"ProfileToken": profile, "PresetToken": asked.token})
        except Fault as fault:
            refusal = node_text("turn_refused", preset=asked.token, error=_in_words(fault))
            # The library asks again when the line breaks; what is refused may have been done at the first time.
            await asyncio.sleep(BEGIN_S)
            now = await _status(ptz, profile)
            if now is None or not now.stands or now != before:
                raise _Unsure(node_text("turn_unknown", why=refusal)) from None
            raise _Refused(refusal) from None
        await _wait_until_it_stands(ptz, profile, asked.turn_s)
    finally:
        await camera.close()


async def _turning_profile(camera: Any) -> str:
    """The first media profile with a PTZ configuration."""
    media = await camera.create_media_service()
    for profile in await media.GetProfiles():
        if getattr(profile, "PTZConfiguration", None) is not None:
            return str(profile.token)
    raise _Refused(node_text("no_ptz"))


@dataclass(frozen=True, slots=True)
class _Status:
    """position: pan, tilt and zoom as far as they are told, in steps of SAME."""

    stands: bool
    position: tuple[int, ...]


async def _status(ptz: Any, profile: str) -> _Status | None:
    """None where the camera does not say whether it moves: not every one does."""
    from zeep.exceptions import Fault

    try:
        async with asyncio.timeout(ANSWER_S):
            status = await ptz.GetStatus({"ProfileToken": profile})
    except Fault:
        return None
    moving = getattr(status, "MoveStatus", None)
    said = [s for s in (getattr(moving, "PanTilt", None), getattr(moving, "Zoom", None)) if s]
    if not said or "UNKNOWN" in said:
        return None
    position = getattr(status, "Position", None)
    axes = [(getattr(position, "PanTilt", None), ("x", "y")), (getattr(position, "Zoom", None), ("x",))]
    told = [float(getattr(axis, name)) for axis, names in axes if axis is not None for name in names]
    return _Status(all(s == "IDLE" for s in said), tuple(round(v / SAME) for v in told))


async def _wait_until_it_stands(ptz: Any, profile: str, turn_s: float) -> None:
    """Idle twice in the same position; a camera that does not tell is given all of turn_s. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    until = loop.time() + turn_s
    await asyncio.sleep(min(BEGIN_S, turn_s))
    before: _Status | None = None
    while loop.time() < until:
        now = await _status(ptz, profile)
        if now is None:
            await asyncio.sleep(max(0.0, until - loop.time()))
            return
        if now.stands and now == before:
            return
        before = now
        await asyncio.sleep(POLL_S)
    raise _Unsure(node_text("turn_late", seconds=round(turn_s)))


def _complaint(camera: str, error: BaseException) -> NodeText:
    words = _in_words(error)
    if any(w in words.lower() for w in ("notauthorized", "not authorized", "unauthorized", "401")):
        return node_text("onvif_password", camera=camera, error=words)
    if isinstance(error, AttributeError):
        return node_text("onvif_other", camera=camera)
    return node_text("onvif_silent", camera=camera, error=words)


def _in_words(error: object) -> str:
    if isinstance(error, _Unsure):
        return error.text
    if isinstance(error, TimeoutError):
        return str(error) or node_text("no_answer_in_time")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join((str(error) or type(error).__name__).split())[:200]


def main() -> int:
    die_with_parent()
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Turn)
    sys.stdout.buffer.write(msgspec.json.encode(turn(asked)))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
