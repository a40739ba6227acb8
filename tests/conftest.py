"""What several rooms' tests share: the real recording and weights where they are, and stand-ins that run anywhere."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
settings.load_profile("explore" if os.environ.get("TRAILWATCH_EXPLORE") else "same everywhere")


def pytest_addoption(parser):
    parser.addoption(
        "--connect", default="", metavar="tcp:HOST:PORT",
        help="a simulated ArduCopter that runs, for tests/fleet/conformance: it is flown, and put back after each test",
    )


def pytest_collection_modifyitems(items):
    """Browser tests last: Playwright's synchronous driver keeps an event loop running in the main thread until the session
    ends, and nobody after it could call asyncio.run.
    """
    items.sort(key=lambda item: "browser" in item.path.parts)       # stable: all else keeps its order


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
