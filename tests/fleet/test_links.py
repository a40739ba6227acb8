"""The fleet's settings become links: one owner each, shared by drones, several to one, each with its key."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.commands import until
from fleet.links import FleetLinks
from fleet.mission import MISSION, differences, plan_items
from fleet.plan_transfer import HEARD_OF_A_PLAN, Aircraft, PlanTransfer
from fleet.settings import Fleet, check_signing, load
from fleet.transfer import Target, download, run_machine
from mavlink.signing import make_key
from tests.fleet.conformance.test_lines import a_plan
from wire.clock import WallClock
from wire.keys import NodeKind, make_node_key, make_station_key, write_private
from wire.settings import SettingsError
from wire.units import Realm

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
key = "node.key"
sector = "{sector}"
data_dir = "data"
[station]
endpoint = "tcp://127.0.0.1:5000"
public_key = '{station_key}'
"""
DRONE = """
[[drones]]
id = "{id}"
connection = "{connection}"
home = [16.62225, 106.60230]
{more}
"""


@pytest.fixture
def fleet_of(tmp_path: Path) -> Callable[..., Fleet]:
    def make(*drones: tuple[str, str, str], realm: Realm = Realm.TRAINING) -> Fleet:
        (tmp_path / "node.key").unlink(missing_ok=True)
        write_private(tmp_path / "node.key", make_node_key("fleet", NodeKind.FLEET, realm))
        text = HEAD.format(
            sector=ROOT / "configs/sectors/laobao/sector.toml", station_key=make_station_key(Realm.TRAINING).public
        )
        text += "".join(DRONE.format(id=name, connection=c, more=more) for name, c, more in drones)
        (tmp_path / "fleet.toml").write_text(text)
        return load(tmp_path / "fleet.toml")

    return make


def test_two_drones_on_one_connection_share_its_owner_and_keep_their_keys_apart(
    fleet_of: Callable[..., Fleet], tmp_path: Path
) -> None:
    make_key(tmp_path / "a.signing")
    shared = "udpin:127.0.0.1:14550"
    links = FleetLinks(
        fleet_of(("a", shared, 'system_id = 1\nsigning_key = "a.signing"'), ("b", shared, "system_id = 2")), WallClock()
    )
    (link,) = links.links
    assert set(link.signers) == {1} and link.open_too
    assert links.roads["a"].links == links.roads["b"].links == (link,)


def test_a_drone_with_two_connections_has_one_key_and_another_number_on_each(
    fleet_of: Callable[..., Fleet], tmp_path: Path
) -> None:
    make_key(tmp_path / "a.signing")
    more = 'system_id = 1\nsigning_key = "a.signing"\nmore_connections = ["serial:/dev/ttyUSB7:57600"]'
    links = FleetLinks(fleet_of(("a", "udpin:127.0.0.1:14550", more)), WallClock())
    one, two = links.roads["a"].links
    assert one.signers[1] is two.signers[1] and one.link_id != two.link_id
    assert not one.open_too


@pytest.mark.parametrize(
    ("drones", "words"),
    [
        ([("a", "udpin:127.0.0.1:1", ""), ("b", "udpin:127.0.0.1:1", "system_id = 2")], "give each drone there its own"),
        ([("a", "udpin:127.0.0.1:1", "system_id = 2"), ("b", "udpin:127.0.0.1:1", "system_id = 2")], "its own system id"),
        ([("a", "tcp:127.0.0.1:1", 'signing_key = "none.signing"')], "needs its own system id"),
        ([("a", "tcp:127.0.0.1:1", 'system_id = 1\nsigning_key = "none.signing"')], "cannot be read"),
        ([("a", "tcp:127.0.0.1:1", 'system_id = 1\nsigning_key = "a.signing"\nunsigned = true')], "take one of the two out"),
        ([("a", "tcp:127.0.0.1:1", 'more_connections = ["serial:/dev/ttyUSB0:5"]')], "no rate of a serial line"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    fleet_of: Callable[..., Fleet], drones: list[tuple[str, str, str]], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        fleet_of(*drones)
    assert "fleet.toml:" in str(caught.value)


def test_a_live_drone_without_a_key_is_refused_unless_the_settings_name_it_unsigned(
    fleet_of: Callable[..., Fleet], tmp_path: Path
) -> None:
    make_key(tmp_path / "a.signing")
    config = tmp_path / "fleet.toml"
    signed = ("a", "tcp:127.0.0.1:1", 'system_id = 1\nsigning_key = "a.signing"')
    bare = ("b", "tcp:127.0.0.1:2", "")
    named = ("b", "tcp:127.0.0.1:2", "unsigned = true")
    check_signing(config, fleet_of(signed, bare))
    live = fleet_of(signed, bare, realm=Realm.LIVE)
    with pytest.raises(SettingsError) as refused:
        check_signing(config, live)
    words = str(refused.value)
    line = 1 + (tmp_path / "fleet.toml").read_text().splitlines().index("[[drones]]", 10)
    assert words.startswith(f'{config}:{line}: drones.1.signing_key: drone "b" has no signing key'), words
    assert 'signing new --out b.signing"' in words and '"trailwatch signing give"' in words
    assert words.endswith("set unsigned = true at this drone")
    check_signing(config, fleet_of(signed, named, realm=Realm.LIVE))
    check_signing(config, fleet_of(signed, realm=Realm.LIVE))


def test_a_key_that_others_may_read_is_refused(fleet_of: Callable[..., Fleet], tmp_path: Path) -> None:
    make_key(tmp_path / "a.signing")
    (tmp_path / "a.signing").chmod(0o644)
    with pytest.raises(SettingsError, match="others may read this key"):
        fleet_of(("a", "tcp:127.0.0.1:1", 'system_id = 1\nsigning_key = "a.signing"'))


@pytest.mark.slow
def test_two_drones_on_one_udp_port_get_each_their_own_plan_at_the_same_time(
    start_autopilot: Callable[..., Any], fleet_of: Callable[..., Fleet]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hardware = {1: "a1b2c3", 2: "d4e5f6"}

    async def scenario() -> None:
        for system_id, number in hardware.items():
            start_autopilot(system_id=system_id, hardware_id=number, udp_to=f"127.0.0.1:{port}", speedup=1.0)
        shared = f"udpin:127.0.0.1:{port}"
        links = FleetLinks(fleet_of(("a", shared, "system_id = 1"), ("b", shared, "system_id = 2")), WallClock())
        (link,) = links.links
        owner = asyncio.create_task(link.run())
        assert await until(lambda: all(link.heard_age_of_s(i) < 2.0 for i in hardware), 30.0)
        await asyncio.sleep(2.0)        # their storage is up
        now_s = asyncio.get_running_loop().time()
        parts = {i: plan_items(a_plan(number, i, shift=50.0 * i), 165.0) for i, number in hardware.items()}
        ends = await asyncio.gather(
            *(
                run_machine(
                    links.roads[name], PlanTransfer(parts[i], Aircraft(i, hardware[i]), now_s), i, HEARD_OF_A_PLAN
                )
                for name, i in (("a", 1), ("b", 2))
            )
        )
        assert all(end.done for end in ends), ends
        for i in hardware:
            back = await download(link, Target(i))
            assert differences(parts[i][MISSION], back.items) == ()
            assert differences(parts[3 - i][MISSION], back.items) != ()
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)

    asyncio.run(scenario())
