"""Moments between moments, and how one travels from the world's process to whoever draws or scores it."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from sim.world_state import ActorState, Moment, Sky

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Moment] = msgspec.msgpack.Decoder(Moment)


def encode_moment(moment: Moment) -> bytes:
    return _encoder.encode(moment)


def decode_moment(data: bytes) -> Moment:
    """Raises msgspec.DecodeError (or its ValidationError) for what is no Moment."""
    return _decoder.decode(data)


def between(a: Moment, b: Moment, utc_ns: int) -> Moment:
    """The moment at utc_ns, which lies from a to b: places evenly, turns the short way, postures of the nearer one.

    Who is in only one of them is there in its half of the time.
    """
    if b.utc_ns <= a.utc_ns:
        return b
    f = min(max((utc_ns - a.utc_ns) / (b.utc_ns - a.utc_ns), 0.0), 1.0)
    before = {s.actor.id: s for s in a.actors}
    actors = [_between(before[s.actor.id], s, f) for s in b.actors if s.actor.id in before]
    if f < 0.5:
        after = {s.actor.id for s in b.actors}
        actors += [s for s in a.actors if s.actor.id not in after]
    else:
        actors += [s for s in b.actors if s.actor.id not in before]
    return Moment(a.t_s + (b.t_s - a.t_s) * f, utc_ns, _sky_between(a.sky, b.sky, f), tuple(actors))


def _between(a: ActorState, b: ActorState, f: float) -> ActorState:
    nearer = a if f < 0.5 else b
    return replace(
        nearer,
        east_m=_mix(a.east_m, b.east_m, f),
        north_m=_mix(a.north_m, b.north_m, f),
        height_msl_m=_mix(a.height_msl_m, b.height_msl_m, f),
        heading_deg=turned(a.heading_deg, b.heading_deg, f),
        velocity_mps=(_mix(a.velocity_mps[0], b.velocity_mps[0], f), _mix(a.velocity_mps[1], b.velocity_mps[1], f)),
        phase=(a.phase + ((b.phase - a.phase) % 1.0) * f) % 1.0,
    )


def _sky_between(a: Sky, b: Sky, f: float) -> Sky:
    return Sky(
        sun_azimuth_deg=turned(a.sun_azimuth_deg, b.sun_azimuth_deg, f),
        sun_elevation_deg=_mix(a.sun_elevation_deg, b.sun_elevation_deg, f),
        moonlight=_mix(a.moonlight, b.moonlight, f),
        cloud=_mix(a.cloud, b.cloud, f),
        rain_mm_h=_mix(a.rain_mm_h, b.rain_mm_h, f),
        visibility_m=_mix(a.visibility_m, b.visibility_m, f),
        wind_mps=_mix(a.wind_mps, b.wind_mps, f),
        wind_from_deg=turned(a.wind_from_deg, b.wind_from_deg, f),
    )


def turned(a_deg: float, b_deg: float, f: float) -> float:
    """The share f of the way from one direction to another, the short way round; 0 to 360."""
    return (a_deg + ((b_deg - a_deg + 180.0) % 360.0 - 180.0) * f) % 360.0


def _mix(a: float, b: float, f: float) -> float:
    return a + (b - a) * f
