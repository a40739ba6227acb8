"""Cursor on Target: the XML in which radios and phones of ours say where they are (MITRE MTR 050088; TAK speaks it)."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

from station.contact_requests import SIGMA_UNKNOWN_M, PatrolPosition

LIMIT_BYTES = 16_384
UNKNOWN_M = 9_999_999.0     # what CoT writes for an error that nobody knows
SIGMAS_OF_CE = 2.146        # ce is a radius that holds 90 %: so many deviations of an axis


class CotError(ValueError):
    """Not an event that says where a friendly unit is; the text says why."""


def read_cot(text: bytes) -> PatrolPosition:
    """One event. Raises CotError. Document types and entities are refused before the parser sees them."""
    if len(text) > LIMIT_BYTES:
        raise CotError(f"longer than {LIMIT_BYTES} bytes")
    if b"<!" in text or b"\x00" in text:
        raise CotError("declares a document type or an entity, or is not UTF-8")
    try:
        event = ET.fromstring(text.decode("utf-8"))
    except (ET.ParseError, UnicodeDecodeError, ValueError) as error:
        raise CotError(f"is no XML: {error}") from None
    point = event.find("point")
    if event.tag != "event" or point is None:
        raise CotError("is no CoT event with a point")
    if not event.get("type", "").startswith("a-f-"):
        raise CotError(f'type "{event.get("type", "")[:20]}" is not a friendly unit (a-f-...)')
    contact = event.find("detail/contact")
    name = (contact.get("callsign", "") if contact is not None else "") or event.get("uid", "")
    try:
        lat, lon, ce = (float(point.get(key, "nan")) for key in ("lat", "lon", "ce"))
        when = datetime.fromisoformat(event.get("time", ""))
    except ValueError as error:
        raise CotError(f"cannot be read: {error}") from None
    if when.tzinfo is None:
        raise CotError("time has no offset from UTC")
    if not (math.isfinite(lat) and math.isfinite(lon)):
        raise CotError("lat or lon is missing")
    sigma = ce / SIGMAS_OF_CE if math.isfinite(ce) and 0.0 < ce < UNKNOWN_M else SIGMA_UNKNOWN_M
    at_ns = round((when - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) * 1000
    return PatrolPosition(name.strip()[:64], lat, lon, at_ns, sigma)
