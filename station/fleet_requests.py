"""What the web server asks of the mind about the fleet."""

from __future__ import annotations

import msgspec


class FollowContact(msgspec.Struct, frozen=True, tag="follow_contact"):
    """Tell this fleet service where the contact is, from now on; it is about to be asked to look at it."""

    node: str
    contact: str


class DropOffer(msgspec.Struct, frozen=True, tag="drop_offer"):
    """Nobody will take this offer."""

    node: str
    plan_id: str


FleetRequest = FollowContact | DropOffer
