"""Whether cameras are there, and what is told of their coming and going, on a bench."""

from __future__ import annotations

from typing import Any

import pytest

from objectclassification.hub.presence import GRACE_S
from objectclassification.messages import Event, Sleep, Watch
from tests.hubs import Bench

WALL = 1.7e9


def told(bench: Bench) -> list[tuple[str, str]]:
    """The events of cameras since this was asked last."""
    found = [(one.name, one.data["state"]) for one in bench.published if one.topic == "cameras"]
    bench.published.clear()
    return found


def presence(bench: Bench, name: str = "door") -> Any:
    return bench.hub.cameras()[name]


def test_who_is_back_in_time_was_not_away() -> None:
    bench = Bench()
    session = bench.camera("door", instance="i")
    assert told(bench) == [("connected", "online")]
    bench.wall += 100
    bench.hub.disconnect(session)
    bench.carry_out()
    assert (presence(bench).state, presence(bench).since) == ("reconnecting", WALL + 100)
    bench.wait(GRACE_S - 0.1)
    bench.camera("door", instance="i")
    assert (presence(bench).state, presence(bench).since) == ("online", WALL)
    bench.wait(60)
    assert told(bench) == []


def test_who_is_not_back_is_away_since_it_left() -> None:
    bench = Bench()
    session = bench.camera("door")
    told(bench)
    bench.wall += 100
    bench.hub.disconnect(session)
    bench.carry_out()
    assert told(bench) == []
    bench.wall += GRACE_S
    bench.wait(GRACE_S)
    assert (presence(bench).state, presence(bench).since) == ("offline", WALL + 100)
    assert presence(bench).last_seen == WALL + 100
    (event,) = bench.published
    assert (event.name, event.data["since"]) == ("disconnected", WALL + 100)
    told(bench)
    bench.wall += 100
    bench.camera("door")
    assert told(bench) == [("connected", "online")]
    assert presence(bench).since == WALL + 105 + 100


def test_many_that_flap_are_told_of_once() -> None:
    bench = Bench()
    sessions = {name: bench.camera(name, instance=name) for name in ("a", "b", "c")}
    told(bench)
    for _ in range(5):
        for name in ("a", "b"):
            bench.hub.disconnect(sessions[name])
            bench.wait(1)
            sessions[name] = bench.camera(name, instance=name)
    bench.hub.disconnect(sessions["c"])
    bench.wait(60)
    assert told(bench) == [("disconnected", "offline")]


@pytest.mark.parametrize(
    "sleep", [Sleep(camera="door", until=WALL + 600), Sleep(camera="door", in_s=600)]
)
def test_who_said_so_is_asleep_at_once(sleep: Sleep) -> None:
    bench = Bench()
    session = bench.camera("door")
    bench.say(session, sleep)
    told(bench)
    bench.hub.disconnect(session)
    bench.carry_out()
    assert told(bench) == [("disconnected", "asleep")]
    assert presence(bench).asleep_until == WALL + 600
    bench.wall += 601
    assert (presence(bench).state, presence(bench).asleep_until) == ("offline", None)
    bench.camera("door")
    assert presence(bench).state == "online"


def test_who_slept_before_the_start_still_does() -> None:
    bench = Bench()
    bench.hub.know({"door": ()}, asleep={"door": WALL + 600})
    assert (presence(bench).state, presence(bench).since) == ("asleep", None)


def test_one_that_takes_the_place_of_its_old_connection_was_not_away() -> None:
    bench = Bench()
    bench.camera("door", instance="i")
    told(bench)
    bench.camera("door", instance="i")
    bench.wait(60)
    assert told(bench) == []
    assert presence(bench).state == "online"


def test_how_well_it_is_reached() -> None:
    bench = Bench()
    session = bench.camera("door")
    assert (presence(bench).latency_ms, presence(bench).dropped) == (None, 0)
    bench.wall += 20
    bench.hub.ponged(session, 0.0123)
    bench.hub.ponged(12345, 0.1)  # it has gone
    bench.say(session, '{"type": "shot"}')
    bench.hub.receive_binary(session)
    now = presence(bench)
    assert (now.latency_ms, now.last_seen, now.dropped) == (12.3, WALL + 20, 2)
    bench.hub.disconnect(session)
    assert (presence(bench).latency_ms, presence(bench).dropped) == (None, 2)


def test_events_that_it_did_not_read_are_counted() -> None:
    bench = Bench()
    session = bench.camera("door")
    bench.say(session, Watch(topics=("pictures",)))
    bench.hub.pause(session)
    for number in range(70):
        bench.hub.publish("pictures", "uploaded", {"picture": str(number)})
    bench.hub.resume(session)
    bench.carry_out()
    assert sum(isinstance(message, Event) for message in bench.heard(session)) == 64
    assert presence(bench).dropped == 6


def test_at_a_stop_whoever_leaves_is_away() -> None:
    bench = Bench()
    first, second = bench.camera("door"), bench.camera("yard")
    told(bench)
    bench.hub.disconnect(first)
    bench.hub.stop()
    bench.hub.disconnect(second)
    bench.carry_out()
    assert told(bench) == [("disconnected", "offline"), ("disconnected", "offline")]


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_makes_nobody_come_or_go(jump_s: float) -> None:
    bench = Bench()
    session = bench.camera("door", instance="i")
    told(bench)
    bench.hub.disconnect(session)
    bench.wall += jump_s
    bench.wait(GRACE_S - 0.1)
    bench.camera("door", instance="i")
    bench.wait(60)
    assert told(bench) == []


def test_one_that_is_forgotten_while_it_leaves_is_gone() -> None:
    bench = Bench()
    session = bench.camera("door")
    told(bench)
    bench.hub.disconnect(session)
    bench.hub.forget("door")
    bench.carry_out()
    bench.wait(60)
    assert told(bench) == [("forgotten", "offline")]
    assert "door" not in bench.hub.cameras()


def test_how_many_there_are() -> None:
    bench = Bench()
    bench.hub.know({"never": ()}, asleep={})
    bench.camera("here")
    session = bench.camera("gone")
    bench.hub.disconnect(session)
    assert bench.hub.population().cameras == {
        "online": 1,
        "reconnecting": 1,
        "asleep": 0,
        "offline": 1,
    }
