"""What several rooms' tests share: the real recording and weights where they are, and stand-ins that run anywhere."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("TRAILWATCH_TEST_DATA", ROOT.parent / "shared"))

os.environ.setdefault("YOLO_AUTOINSTALL", "false")
# Draw in the thread that asks: on a busy machine every hand-over to a thread of the software rasterizer waits its turn.
os.environ.setdefault("LP_NUM_THREADS", "0")

# The same examples on every machine, so that a red run says something of the change and not of luck. To look for new ones:
# TRAILWATCH_EXPLORE=1 ./trailwatch test, and what that finds becomes an @example.
# No deadline: on a busy machine any example can take long.
settings.register_profile("same everywhere", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None)
EXPLORE = bool(os.environ.get("TRAILWATCH_EXPLORE"))
settings.load_profile("explore" if EXPLORE else "same everywhere")
if not EXPLORE and hasattr(providers, "_get_local_constants"):
    # Hypothesis mixes in numbers that it finds in the sources of whatever is loaded, so the test that ran before, and with
    # several workers the speed of the machine, would decide about the examples. It has no setting for this.
    providers._get_local_constants = lambda: providers._local_constants


def pytest_addoption(parser):
    parser.addoption(
        "--connect", default="", metavar="tcp:HOST:PORT",
        help="a simulated ArduCopter that runs, for tests/fleet/conformance: it is flown, and put back after each test",
    )


@pytest.hookimpl(tryfirst=True)         # before pytest-xdist's own, which reads the groups
def pytest_collection_modifyitems(config, items):
    """Browser tests last: Playwright's synchronous driver keeps an event loop running in the main thread until the session
    ends, and nobody after it could call asyncio.run.

    With several workers (`./trailwatch test` without arguments) a file goes to one of them as a whole, for its fixtures'
    sake, and a slow test by itself, for most of it is waiting: for a drone that flies in real time. Those of a file that is
    marked `together` reckon, and share what is dear to make. Files and slow tests are mixed, the same way each time, so
    that waiting and reckoning run side by side. What takes a minute and more begins first, or one worker is at it when all
    others have gone home.
    """
    if not getattr(config.option, "loadgroup", False):          # as pytest-xdist tells its workers
        items.sort(key=lambda item: "browser" in item.path.parts)   # stable: all else keeps its order
        return
    for item in items:
        by_itself = item.get_closest_marker("slow") is not None and not _stays(item)
        group = item.nodeid if by_itself else str(item.path.relative_to(ROOT))
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: ("browser" in item.path.parts, -_seconds(item), crc32(_group(item).encode())))


def _group(item):
    return item.get_closest_marker("xdist_group").args[0]


def _stays(item):
    """In its file, though it is slow."""
    return "browser" in item.path.parts or item.get_closest_marker("together") is not None


def _seconds(item):
    """What a slow test, or a file that stays together, says that it takes, where that is long."""
    marker = item.get_closest_marker("together") or item.get_closest_marker("slow")
    return marker.args[0] if marker is not None and marker.args else 0


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Between two files what is free goes back to the system: glibc keeps it, and half of a worker's 2 GB were that."""
    if (nextitem is None or nextitem.path != item.path) and sys.platform == "linux":
        with contextlib.suppress(AttributeError):       # musl has none
            ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def real_video():
    """A recording of real people: 768 x 576, 10 frames/s, 795 frames."""
    path = SHARED / "media/vtest.avi"
    if not path.exists():
        pytest.skip(f"needs the recording {path}; name its folder's parent with TRAILWATCH_TEST_DATA")
    return path


@pytest.fixture(scope="session")
def real_weights():
    """The real YOLO11n with its 80 COCO classes."""
    path = SHARED / "models/yolo11n.pt"
    if not path.exists():
        pytest.skip(f"needs the real weights {path}; name their folder's parent with TRAILWATCH_TEST_DATA")
    return path
