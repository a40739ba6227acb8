"""The fleet service: the only process that commands drones. It tells the station everything, as a node of kind fleet."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

from fleet.dispatcher import Dispatcher
from fleet.flight_book import FlightBook, FlightRecorder
from fleet.links import FleetLinks
from fleet.order_journal import OrderJournal
from fleet.orders import FleetOrders
from fleet.pilot import Pilot, PilotTerms
from fleet.settings import Fleet, check_signing, load
from mavlink.link import Link
from wire.clock import Clock, WallClock
from wire.messages import UpBody
from wire.outbox import Outbox
from wire.private_files import FOR_OTHERS, make_folder_private
from wire.process import log_to_stderr
from wire.settings import refuse
from wire.units import Realm
from wire.uplink import Uplink

PILOT_AGAIN_S = 5.0
LINK_AGAIN_S = 0.5              # a drone in the air hears nothing meanwhile, and its patience is 5 s
LAST_WORDS_S = 1.5              # for the uplink to hand over what was said on leaving; the rest waits in the outbox

_log = logging.getLogger("trailwatch.fleet")


def run(config: Path) -> int:
    """Fly until SIGTERM or SIGINT. Raises SettingsError for settings that cannot be, and for live drones without a key."""
    log_to_stderr()
    clock = WallClock()
    fleet = load(config)
    check_signing(config, fleet)
    os.umask(FOR_OTHERS)            # every log, estimate and database of this process is its owner's alone
    make_folder_private(fleet.data_dir)
    # In order: an offer, its plan, the check of it and its task each mean something only after the one before.
    outbox = Outbox(fleet.data_dir / "outbox.db", fleet.key.node, fleet.key.realm, clock, fresh_s=0.0)
    journal = OrderJournal(fleet.data_dir / "orders.db")
    orders = FleetOrders(journal, clock, lambda body: _keep(outbox, body))
    try:
        try:
            uplink = Uplink(
                fleet.settings.station.endpoint, fleet.settings.station.public_key, fleet.key, outbox, clock, orders.hear
            )
        except ValueError as error:
            raise refuse(config, ["station", "endpoint"], str(error)) from None
        with uplink:
            asyncio.run(serve(fleet, outbox, clock, orders))
    finally:
        journal.close()
        outbox.close()
    return 0


async def serve(fleet: Fleet, outbox: Outbox, clock: Clock, orders: FleetOrders) -> None:
    """All drones until a signal; then call back what is in the air."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    counted = 0

    def name_task(drone: str) -> str:
        nonlocal counted
        counted += 1
        return f"{drone}-{outbox.boot}-{counted}"

    terms = PilotTerms(
        fleet.key.realm, fleet.sector, clock, lambda body: _keep(outbox, body), name_task, fleet.settings.heartbeat_s,
        fleet.wind, fleet.permits, fleet.views, fleet.data_dir / "energy",
    )
    links = FleetLinks(fleet, clock)
    pilots = [
        Pilot(d, [p for p in fleet.settings.patrols if p.drone == d.id], terms, links.roads[d.id])
        for d in fleet.settings.drones
    ]
    _log.info("fleet service %s (%s): %d drones", fleet.key.node, fleet.key.realm.value, len(pilots))
    if fleet.key.realm is Realm.LIVE and (unsigned := [d.id for d in fleet.settings.drones if d.unsigned]):
        _log.warning("live and without a signing key, as the settings say: %s", ", ".join(unsigned))
    book = FlightBook(fleet.data_dir / "flights")
    for pilot in pilots:
        pilot.recorder = FlightRecorder(book, pilot.drone, clock)
        for link in links.roads[pilot.drone.name].links:
            link.taps.append(pilot.recorder.tap)
    flying = [asyncio.create_task(_keep_running(p)) for p in pilots]
    flying += [asyncio.create_task(_keep_owned(link)) for link in links.links]
    flying.append(asyncio.create_task(_keep_dispatching(Dispatcher(pilots, terms, orders))))
    await stop.wait()
    await asyncio.gather(*(p.leave() for p in pilots))
    for task in flying:
        task.cancel()
    await asyncio.gather(*flying, return_exceptions=True)
    for pilot in pilots:
        if pilot.recorder is not None:
            pilot.recorder.close("not known: the fleet service stopped before it")
    book.close()
    until_s = loop.time() + LAST_WORDS_S
    while outbox.depth and loop.time() < until_s:
        await asyncio.sleep(0.05)


def _keep(outbox: Outbox, body: UpBody) -> None:
    outbox.put(body)


async def _keep_owned(link: Link) -> None:
    """A link without its owner would be silent for good."""
    while True:
        try:
            await link.run()
        except Exception:  # a fault in our own code: the others fly on, and this one is taken up anew  # noqa: BLE001
            _log.exception("%s: the owner of this link failed and starts anew", link.connection)
        await asyncio.sleep(LINK_AGAIN_S)


async def _keep_dispatching(dispatcher: Dispatcher) -> None:
    """Without it nobody could order a drone home."""
    while True:
        try:
            await dispatcher.run()
        except Exception:  # a fault in our own code: offers and queue are kept, and orders are heard again  # noqa: BLE001
            _log.exception("the dispatcher failed and starts anew")
        await asyncio.sleep(PILOT_AGAIN_S)


async def _keep_running(pilot: Pilot) -> None:
    """One drone's surprise must not ground the others: it is told, and that drone is taken up anew."""
    while True:
        try:
            await pilot.run()
        except Exception:  # a fault in our own code, whatever it is, in one drone's tasks  # noqa: BLE001
            _log.exception("%s: the pilot of this drone failed and starts anew", pilot.drone.name)
        await asyncio.sleep(PILOT_AGAIN_S)
