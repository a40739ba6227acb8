"""The live feed against a mind with a script, over the real local sockets."""

import asyncio
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.feed import QUEUE_LIMIT, Beat, Feed, FeedMessage, LatencyHistogram, MindSilentError, following
from station.picture import AlarmState, ChangeAlarm, ContactState, Delta, Done, Picture, Refused, TrailPoint
from tests.scene import KHE_DA, alarm, contact, corridor_entry, scene
from tests.scripted_mind import ScriptedMind
from wire.clock import WallClock

DECODER = msgspec.json.Decoder(FeedMessage)


@pytest.fixture
def mind(settings):
    it = ScriptedMind(settings, scene())
    yield it
    it.close()


class Reader:
    """A page that reads everything at once, as a good browser does."""

    def __init__(self, feed):
        self.feed, self.page = feed, feed.join()

    async def until(self, wanted, seconds=5.0):
        """Messages up to and with the first that is wanted."""
        got = []
        async with asyncio.timeout(seconds):
            while True:
                got.append(DECODER.decode((await self.page.next(self.feed)).text))
                if wanted(got[-1]):
                    return got


def is_picture(turn):
    return lambda m: isinstance(m, Picture) and m.turn >= turn


def run(settings, story, clock=None):
    async def play():
        async with following(Feed(settings, clock or WallClock())) as feed:
            await asyncio.wait_for(story(feed), 25)

    asyncio.run(play())


def test_a_page_gets_the_picture_and_then_what_changes(settings, mind):
    async def story(feed):
        reader = Reader(feed)
        first = (await reader.until(lambda m: isinstance(m, Picture) and m.alarms))[-1]
        assert {a.id for a in first.alarms} == {a.id for a in scene().alarms}
        new = alarm("A-0300", time.time_ns(), says=corridor_entry())
        mind.say(alarms=(new,))
        delta = (await reader.until(lambda m: isinstance(m, Delta)))[-1]
        assert delta.alarms == (new,) and delta.contacts == ()
        assert feed.picture().alarms[-1] == new

    run(settings, story)


def test_changes_within_a_tenth_of_a_second_travel_together_with_the_newest_value(settings, mind):
    async def story(feed):
        reader = Reader(feed)
        await reader.until(is_picture(0))
        await asyncio.sleep(0.3)
        for i in range(40):
            mind.say(contacts=(contact("K-1", KHE_DA, i / 40, time.time_ns()),))
        until = time.monotonic() + 1.5
        deltas = []
        while not (deltas and deltas[-1].turn >= 40) and time.monotonic() < until:
            deltas += [m for m in await reader.until(lambda m: isinstance(m, Delta)) if isinstance(m, Delta)]
        assert deltas[-1].turn == 40
        assert 1 <= len(deltas) <= 8, "40 turns of the mind, sent as few messages"
        assert deltas[-1].contacts[0] == feed.picture().contacts[-1]

    run(settings, story)


def test_news_of_an_alarm_waits_for_no_batch_and_takes_along_what_was_gathered(settings, mind, monkeypatch):
    monkeypatch.setattr("station.feed.BATCH_S", 60.0)

    async def story(feed):
        reader = Reader(feed)
        await reader.until(is_picture(0))
        mind.say(contacts=(contact("K-1", KHE_DA, 0.1, time.time_ns()),))
        await reader.until(lambda m: isinstance(m, Delta))
        mind.say(contacts=(contact("K-1", KHE_DA, 0.2, time.time_ns()),))      # this one is held
        new = alarm("A-0300", time.time_ns(), says=corridor_entry())
        mind.say(alarms=(new,))
        delta = (await reader.until(lambda m: isinstance(m, Delta)))[-1]
        assert delta.alarms == (new,) and [c.id for c in delta.contacts] == ["K-1"]

    run(settings, story)


def test_a_missed_turn_brings_a_whole_picture(settings, mind):
    async def story(feed):
        reader = Reader(feed)
        await reader.until(is_picture(0))
        await asyncio.sleep(0.3)
        mind.say(alarms=(alarm("A-0300", time.time_ns(), says=corridor_entry()),), skip=1)
        picture = (await reader.until(is_picture(2)))[-1]
        assert "A-0300" in {a.id for a in picture.alarms}
        assert feed.figures().gaps == 1

    run(settings, story)


def test_a_mind_that_starts_again_is_followed_from_its_own_beginning(settings, mind):
    async def story(feed):
        reader = Reader(feed)
        for i in range(5):
            mind.say(contacts=(contact(f"K-{i}", KHE_DA, 0.1, time.time_ns()),))
        await reader.until(lambda m: m.turn >= 5 if isinstance(m, Picture | Delta) else False)
        mind.close()
        another = ScriptedMind(settings)
        try:
            picture = (await reader.until(lambda m: isinstance(m, Picture) and not m.contacts, 12))[-1]
            assert picture.turn < 5
            new = contact("K-9", KHE_DA, 0.5, time.time_ns())
            another.say(contacts=(new,))
            await reader.until(lambda m: isinstance(m, Picture | Delta) and new in m.contacts)
        finally:
            another.close()

    run(settings, story)


def test_a_silent_mind_is_noticed_and_its_return_too(settings, mind):
    async def story(feed):
        reader = Reader(feed)
        await reader.until(lambda m: isinstance(m, Beat) and m.mind_silent_since_ns is None)
        mind.answering = False
        silent = (await reader.until(lambda m: isinstance(m, Beat) and m.mind_silent_since_ns is not None, 10))[-1]
        assert abs(time.time_ns() - silent.mind_silent_since_ns) < 8e9
        with pytest.raises(MindSilentError):
            await feed.ask(ChangeAlarm("A-0207", AlarmState.ACKNOWLEDGED, "lan"), 0.2)
        mind.answering = True
        await reader.until(lambda m: isinstance(m, Beat) and m.mind_silent_since_ns is None, 10)

    run(settings, story)


def test_without_any_mind_a_page_gets_an_empty_picture_and_the_reason(settings):
    async def story(feed):
        got = await Reader(feed).until(lambda m: isinstance(m, Beat))
        assert isinstance(got[0], Picture) and got[0].realm is settings.realm and got[0].contacts == ()
        assert got[-1].mind_silent_since_ns is not None

    run(settings, story)


def test_a_page_that_lags_gets_a_picture_instead_of_a_growing_queue(settings, mind):
    async def story(feed):
        sleeper = feed.join()
        await sleeper.next(feed)
        for i in range(QUEUE_LIMIT + 15):
            mind.say(contacts=(contact("K-1", KHE_DA, i / 60, time.time_ns()),))
            await asyncio.sleep(0.11)
        assert len(sleeper._waiting) <= QUEUE_LIMIT
        assert feed.figures().pictures_resent >= 1
        woken = DECODER.decode((await sleeper.next(feed)).text)
        assert isinstance(woken, Picture) and woken.turn == feed.picture().turn

    run(settings, story)


def test_a_decision_reaches_the_mind_and_its_refusal_comes_back(settings, mind):
    async def story(feed):
        first = await feed.ask(ChangeAlarm("A-0207", AlarmState.ACKNOWLEDGED, "lan"))
        second = await feed.ask(ChangeAlarm("A-0207", AlarmState.ACKNOWLEDGED, "an"))
        assert isinstance(first, Done)
        assert isinstance(second, Refused) and second.says.params["person"] == "lan"

    run(settings, story)


def test_rubbish_on_the_minds_socket_ends_in_a_whole_picture(settings, mind):
    async def story(feed):
        reader = Reader(feed)
        await reader.until(is_picture(0))
        await asyncio.sleep(0.3)
        mind._outgoing.put(b"\xc1 no msgpack")
        mind.say(contacts=(contact("K-1", KHE_DA, 0.3, time.time_ns()),))
        await reader.until(lambda m: isinstance(m, Picture | Delta) and any(c.id == "K-1" for c in m.contacts))

    run(settings, story)


def test_latency_counts_from_the_capture_to_the_sending(settings, mind):
    async def story(feed):
        reader = Reader(feed)
        await reader.until(is_picture(0))
        await asyncio.sleep(0.3)
        mind.say(contacts=(contact("K-1", KHE_DA, 0.3, time.time_ns(), age_s=0.4),
                           contact("K-2", KHE_DA, 0.3, time.time_ns(), age_s=40, state=ContactState.COASTING)))
        await reader.until(lambda m: isinstance(m, Delta))
        figures = feed.figures()
        assert figures.contact_updates == 1, "a predicted position is not news"
        assert 400 <= figures.latency_p50_ms <= 1400

    run(settings, story)


@given(st.lists(st.floats(1.0, 500_000.0), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_never_too_small_and_two_percent_too_large_at_most(values, q):
    histogram = LatencyHistogram()
    for v in values:
        histogram.add(v)
    exact = sorted(values)[max(0, -(-len(values) * round(q * 100) // 100) - 1)]
    assert exact - 0.1 <= histogram.quantile_ms(q) <= exact * 1.021 + 0.1


def test_a_page_is_told_by_how_much_a_trail_has_grown_and_a_trail_that_was_joined_as_a_whole(settings, mind):
    def trail(*seconds):
        return tuple(TrailPoint(16.62, 106.59, 1_800_000_000_000_000_000 + s * 1_000_000_000) for s in seconds)

    def told(*seconds):
        return msgspec.structs.replace(contact("K-77", KHE_DA, 0.5, time.time_ns()), trail=trail(*seconds))

    async def story(feed):
        reader = Reader(feed)
        heard = []
        feed.listeners.append(heard.append)
        await reader.until(is_picture(0))
        got = []
        for seconds in ((1, 2, 3), (1, 2, 3, 5), (2, 3, 5), (0, 1, 2, 3, 5, 7)):
            mind.say(contacts=(told(*seconds),))
            delta = (await reader.until(lambda m: isinstance(m, Delta) and m.contacts))[-1]
            got.append((delta.contacts[0].trail, delta.grown))
        assert got == [(trail(1, 2, 3), ()), (trail(5), ("K-77",)), ((), ("K-77",)), (trail(0, 1, 2, 3, 5, 7), ())]
        assert heard[-1].contacts[0].trail == trail(0, 1, 2, 3, 5, 7), "the journal hears it whole"
        assert feed.picture().contacts[-1].trail == trail(0, 1, 2, 3, 5, 7)

    run(settings, story)
