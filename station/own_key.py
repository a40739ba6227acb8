"""The key by which nodes know this station: made at its first start, and of one realm for ever."""

from __future__ import annotations

import contextlib

from station.settings import StationSettings
from wire.keys import StationKey, load_station_key, make_station_key, write_private
from wire.settings import SettingsError


def ensure_station_key(settings: StationSettings) -> StationKey:
    """The station's CURVE key, made at the first start. Raises SettingsError when it belongs to the other realm."""
    settings.make_folders()
    if not settings.station_key.exists():
        with contextlib.suppress(FileExistsError):      # another process of this station was quicker
            write_private(settings.station_key, make_station_key(settings.realm))
    key = load_station_key(settings.station_key)
    if key.realm is not settings.realm:
        raise SettingsError(
            f"{settings.station_key}: belongs to the {key.realm.value} realm, and these settings say "
            f"{settings.realm.value}. Give this station a data_dir of its own."
        )
    return key
