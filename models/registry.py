"""Finding weights by name: a given path, a folder of one's own, the cache, or the publisher's download."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import msgspec

from wire.process import DIE_WITH_PARENT
from wire.settings import SettingsError, load_settings
from wire.units import ObjectClass

MANIFEST = Path(__file__).with_name("manifest.toml")
MODELS_VARIABLE = "TRAILWATCH_MODELS"       # a folder of weights, or one file
SMALLEST_BYTES = 100_000                    # a network is larger; what is smaller is a broken download or an error page
FETCHING_S = 600.0                          # for 5 MB, on the worst of lines
CONNECT_S = 3.0                             # seconds; a publisher that does not answer within them counts as unreachable
# ultralytics raises whatever its transport does; all of it means "not fetched", and its first line is the reason.
_FETCH = """
import sys
from models.loading import keep_ultralytics_quiet
from wire.process import die_with_parent
die_with_parent()
keep_ultralytics_quiet()
try:
    from ultralytics.utils.downloads import attempt_download_asset
    attempt_download_asset(sys.argv[1], retry=0, progress=False)
except Exception as error:
    sys.exit((str(error).strip() or type(error).__name__).splitlines()[0])
"""

_log = logging.getLogger("trailwatch.models")


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the manifest.

    classes: what of its output is used. sha256: of the publisher's file, verified; empty where nobody has verified one.
    input_size_px: longer side of the picture it was trained on. official_download: ultralytics knows where to fetch it.
    shipped: the file lies beside the manifest. simulation: trained on rendered pictures alone; stands in for others where
    everything is an exercise, and nowhere else.
    """

    name: str
    file: str
    source: str
    licence: str
    classes: tuple[ObjectClass, ...]
    input_size_px: int
    sha256: str = ""
    official_download: bool = False
    shipped: bool = False
    simulation: bool = False


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    weights: tuple[Weights, ...]


@cache
def manifest() -> dict[str, Weights]:
    """All weights known by name."""
    return {w.name: w for w in load_settings(MANIFEST, Manifest).weights}


def cache_folder() -> Path:
    """Where fetched weights are kept: $XDG_CACHE_HOME/trailwatch/models, by default under ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "trailwatch" / "models"


def resolve_weights(name: str, given: Path | None = None, *, download: bool = True, training: bool = False) -> Path:
    """The file with the weights called `name`.

    Looked for in this order: `given`; TRAILWATCH_MODELS (a folder, or the file itself); what this project ships; the cache;
    the publisher, by way of ultralytics, into the cache (unless `download` is False). training: of the training realm, which
    may then fall back to the shipped weights for simulation, and says so in the log; a live node never does.
    Raises SettingsError with what was tried and what to do.
    """
    known = manifest().get(name)
    if known is None:
        raise SettingsError(f'no weights are called "{name}"; the manifest knows {", ".join(manifest())}')
    if given is not None:
        return _checked(given, f"the weights {given}")
    found, tried = _nearby(known)
    if found is not None:
        return found
    cached = cache_folder() / known.file
    reason = _download(known, cached) if download else "nothing was asked of the publisher"
    if not reason:
        return _verified(_checked(cached, str(cached)), known)
    stand_in = next((w for w in manifest().values() if w.simulation), None) if training else None
    if stand_in is not None:
        _log.warning("no %s (%s): %s stands in, which knows rendered pictures alone", known.file, reason, stand_in.file)
        return _verified(_checked(shipped_file(stand_in), f"{stand_in.file}, shipped with Trailwatch"), stand_in)
    raise SettingsError(
        f"no weights {known.file} found: not in {', not in '.join(tried)}, and {reason}. "
        f"Pass their path (--weights PATH, or weights = in [detector]), or put the file at {cached}."
    )


def shipped_file(known: Weights) -> Path:
    """Where weights that come with this project lie."""
    return MANIFEST.with_name(known.file)


def _nearby(known: Weights) -> tuple[Path | None, list[str]]:
    """The file on this machine, or None and where it was looked for."""
    tried: list[str] = []
    variable = os.environ.get(MODELS_VARIABLE, "")
    if variable:
        place = Path(variable)
        candidate = place / known.file if place.is_dir() else place
        if candidate.exists():
            return _checked(candidate, f"{candidate} (from {MODELS_VARIABLE})"), tried
        tried.append(f"{MODELS_VARIABLE} ({candidate})")
    if known.shipped:
        return _verified(_checked(shipped_file(known), f"{known.file}, shipped with Trailwatch"), known), tried
    cached = cache_folder() / known.file
    if cached.exists():
        return _verified(_checked(cached, f"{cached} (the cache)"), known), tried
    tried.append(str(cached))
    return None, tried


def fetch_weights(name: str) -> Path:
    """Fetch weights into the cache from their publisher, unless they are there. Raises SettingsError with the reason."""
    known = manifest().get(name)
    if known is None:
        raise SettingsError(f'no weights are called "{name}"; the manifest knows {", ".join(manifest())}')
    if known.shipped:
        return _verified(_checked(shipped_file(known), f"{known.file}, shipped with Trailwatch"), known)
    cached = cache_folder() / known.file
    reason = "" if cached.exists() else _download(known, cached)
    if reason:
        raise SettingsError(
            f"{known.file} was not fetched from {known.source}: {reason}. "
            f"Without a network, fetch it elsewhere and put it at {cached}."
        )
    return _verified(_checked(cached, str(cached)), known)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_reachable(host: str, port: int = 443) -> bool:
    """Whether a connection to a host can be opened within CONNECT_S. Behind a proxy this cannot be known, and is assumed.

    Without this check a machine without internet access waits for the downloader's own timeouts.
    """
    if getproxies().get("https") or getproxies().get("all"):
        return True
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True


def _checked(path: Path, called: str) -> Path:
    if not path.is_file():
        raise SettingsError(f"{called}: there is no such file. Give the path of a YOLO weights file (.pt).")
    size = path.stat().st_size
    if size < SMALLEST_BYTES:
        raise SettingsError(f"{called}: {size} bytes are no network; the file is broken. Fetch it again.")
    return path


def _verified(path: Path, known: Weights) -> Path:
    """What came over the network must be what the manifest says, where it says something."""
    if known.sha256:
        digest = digest_of(path)
        if digest != known.sha256:
            raise SettingsError(
                f"{path}: SHA-256 {digest} is not the {known.sha256} of the manifest: not the publisher's {known.file}. "
                "Delete it, or pass it by path if you mean to use it."
            )
    return path


def _download(known: Weights, to: Path) -> str:
    """Fetch into `to`. Returns why not, or nothing."""
    if not known.official_download:
        return "the manifest names no download"
    host = urlsplit(known.source).hostname or ""
    if not is_reachable(host):
        return f"{host} cannot be reached from this machine"
    _log.info("fetching %s (%s) from %s", known.file, known.licence, known.source)
    # A process of its own: torch, which comes with ultralytics, would stay in a node's for as long as it runs, 200 MB.
    environment = {**os.environ, DIE_WITH_PARENT: str(os.getpid())}
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, and then there at once: half a file would be taken for weights at the next start.
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".fetching-") as folder:
            part = Path(folder) / to.name
            said = subprocess.run(
                [sys.executable, "-c", _FETCH, str(part)], cwd=MANIFEST.parents[1], env=environment, timeout=FETCHING_S,
                text=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )
            if said.returncode:
                words = said.stderr.strip().splitlines() or [f"it ended with status {said.returncode} and said nothing"]
                return f"the download failed ({words[-1][:160]})"
            if not part.is_file():
                return "the download brought nothing"
            part.rename(to)
    except subprocess.TimeoutExpired:
        return f"the download was not done after {FETCHING_S:.0f} s"
    except OSError as error:
        return f"the download failed ({error})"
    return ""
