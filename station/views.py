"""From what the mind holds to what the screen shows."""

from __future__ import annotations

from geofences.sector import Sector
from station.contacts import Contact, contact_id
from station.kalman import predict
from station.picture import ContactState, ContactView
from wire.clock import NS_PER_S
from wire.units import Covariance2

LIVE_NS = 3 * NS_PER_S      # seen within this: live


def contact_view(contact: Contact, sector: Sector, now_ns: int) -> ContactView:
    """A contact as it is now: while it is seen, where it was seen; while it coasts, where it is thought to be."""
    if contact.ended_ns is not None:
        state = ContactState.ENDED
    else:
        state = ContactState.LIVE if now_ns - contact.last_seen_ns < LIVE_NS else ContactState.COASTING
    estimate = contact.estimate
    if state is ContactState.COASTING:
        estimate = predict(estimate, now_ns, contact.motion)
    place, p = estimate.mean[:2], estimate.covariance
    return ContactView(
        id=contact.id,
        object_class=contact.object_class,
        state=state,
        position=sector.frame.position(float(place[0]), float(place[1])),
        covariance=Covariance2(round(float(p[0, 0]), 3), round(float(p[0, 1]), 3), round(float(p[1, 1]), 3)),
        velocity_m_s=(round(float(estimate.mean[2]), 2), round(float(estimate.mean[3]), 2)),
        first_seen_ns=contact.first_seen_ns,
        last_seen_ns=contact.last_seen_ns,
        detections=contact.detections,
        score=round(contact.score_sum / max(1, contact.detections), 3),
        sensors=tuple(sorted(contact.sights)),
        corridors=contact.corridors,
        border_m=round(float(sector.border.signed_distance_m(place)[0]), 1),
        simulated=contact.simulated,
        plate=contact.plate,
        why_merged=tuple(contact.why),
        trail=tuple(contact.trail),
        snapshot=contact.snapshot,
        kind=contact.kind,
        colour=contact.colour,
        why_apart=tuple(contact.why_apart),
        own_patrol=contact.own_patrol,
        party=tuple(contact_id(n) for n in contact.party),
        class_probability=round(contact.class_probability, 2),
        kind_probability=_rounded(contact.kind_probability),
        colour_probability=_rounded(contact.colour_probability),
    )


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 2)
