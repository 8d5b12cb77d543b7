"""Rates of a token: who asks too often is told when to ask again, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from objectclassification.auth import SCHEDULES, Identity
from objectclassification.cli import build_app
from objectclassification.errors import RateLimited
from objectclassification.hub.limits import Limits
from objectclassification.hub.pace import Pace
from objectclassification.hub.rates import MessageRates, SnapRates
from objectclassification.messages import Accepted, Hello, Problem, SnapRequest, Welcome, encode
from tests.integration.hub_fixtures import connected, controller, hear, say, serving
from tests.serving import Served
from tests.serving import hear as hear_sync

ASKED = {"to": ["door"], "until": "captured", "deadline_s": 0.05}
MOST = 3


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Three snaps a minute."""
    data = tmp_path_factory.mktemp("strict") / "data"
    with Served(data, max_snaps_per_minute=MOST) as served:
        served.new_token("camera", "door")
        yield served


class TestSnaps:
    def test_over_http_one_too_many_is_429_with_when_to_ask_again(self, strict: Served) -> None:
        mine, other = strict.new_token("operator"), strict.new_token("operator")
        for _ in range(MOST):
            assert strict.call("POST", "/api/snaps", json=ASKED, token=mine).status_code == 202
        answer = strict.call("POST", "/api/snaps", json=ASKED, token=mine)
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "rate_limited"
        assert 15 <= int(answer.headers["Retry-After"]) <= 20
        assert "3 snaps a minute" in answer.json()["detail"]
        assert strict.call("POST", "/api/snaps", json=ASKED, token=other).status_code == 202

    def test_over_a_websocket_it_is_an_error_and_the_connection_stays(self, strict: Served) -> None:
        mine = strict.new_token("operator")
        with strict.connect(mine) as socket:
            socket.send(encode(Hello(role="controller", instance="test")).decode())
            hear_sync(socket, Welcome)
            for number in range(40):  # more than bad messages would be forgiven
                snap = SnapRequest(to=("door",), id=f"snap-{mine[-8:]}-{number}", deadline_s=0.05)
                socket.send(encode(snap).decode())
                if number < MOST:
                    assert hear_sync(socket, Accepted).snap == snap.id
                    continue
                problem = hear_sync(socket, Problem)
                assert (problem.code, problem.re) == ("rate_limited", snap.id)
                assert problem.retry_after_s is not None and 15 < problem.retry_after_s <= 20
            assert socket.ping().wait(5)
        answer = strict.call("POST", "/api/snaps", json=ASKED, token=mine)
        assert answer.status_code == 429  # it is one rate for both

    def test_the_same_snap_again_while_it_is_open_counts_once(self, strict: Served) -> None:
        mine = strict.new_token("operator")
        again = {**ASKED, "id": f"again-{mine[-8:]}", "deadline_s": 60}
        with strict.camera("door"):  # it owes a picture
            for _ in range(2 * MOST):
                assert strict.call("POST", "/api/snaps", json=again, token=mine).status_code == 202
            assert strict.call("DELETE", f"/api/snaps/{again['id']}", token=mine).ok

    def test_the_text_snap_of_plain_clients_counts_too(self, strict: Served) -> None:
        mine = strict.new_token("operator")
        with strict.connect(mine) as socket, strict.connect() as other, strict.camera("door"):
            for _ in range(MOST + 1):
                socket.send("snap")
            assert hear_sync(socket, Problem).code == "rate_limited"
            socket.send("and nothing more")
            heard: list[object] = []
            while not heard or heard[-1] != "and nothing more":
                heard.append(other.recv(timeout=10))
            assert heard.count("snap") == MOST

    def test_the_command_says_it(self, strict: Served) -> None:
        mine = strict.new_token("operator")
        env = {
            "OBJECTCLASSIFICATION_SERVER": strict.url,
            "OBJECTCLASSIFICATION_TOKEN": mine,
        }
        words = ["snap", "door", "--deadline", "0.05"]
        for _ in range(MOST):
            assert CliRunner().invoke(build_app(), words, env=env).exit_code == 1  # no answer
        said = CliRunner().invoke(build_app(), words, env=env).exception
        assert isinstance(said, RateLimited)
        assert said.exit_code == 75 and said.retry_after_s > 10

    def test_by_default_a_script_may_ask_once_a_second_for_ever(self) -> None:
        rates = SnapRates(600)
        for second in range(10_000):
            rates.take(Identity("script", "operator"), float(second))

    def test_schedules_count_for_no_token(self) -> None:
        rates = SnapRates(1)
        for _ in range(1000):
            rates.take(SCHEDULES, 0.0)

    @given(
        st.floats(0.5, 10_000),
        st.lists(st.floats(0, 30), min_size=1, max_size=200),
    )
    def test_never_more_than_the_rate_and_the_wait_is_true(
        self, per_minute: float, pauses_s: list[float]
    ) -> None:
        rates, now, taken = SnapRates(per_minute), 1000.0, 0
        began = now
        for pause_s in pauses_s:
            now += pause_s
            try:
                rates.take(Identity("a", "operator"), now)
                taken += 1
            except RateLimited as exc:
                assert exc.retry_after_s > 0
                if exc.retry_after_s > 1e-6:  # less is lost in the clock's last digits
                    with pytest.raises(RateLimited):
                        rates.check(Identity("a", "operator"), now + exc.retry_after_s * 0.99)
                now += exc.retry_after_s * 1.001 + 1e-6
                rates.take(Identity("a", "operator"), now)
                taken += 1
        assert taken <= max(1, per_minute) + (now - began) * per_minute / 60 + 1e-6


class TestMessages:
    async def test_a_token_with_many_connections_is_read_at_one_rate(self) -> None:
        async with serving() as hub, AsyncExitStack() as stack:
            hub.runner.limits = Limits(
                messages_per_s=1000, messages_at_once=200, messages_per_s_per_token=200
            )
            crowd = [await stack.enter_async_context(connected(hub)) for _ in range(4)]
            for number, flooder in enumerate(crowd):
                assert isinstance(await controller(flooder, f"script-{number}"), Welcome)
            loop = asyncio.get_running_loop()
            began = loop.time()
            for flooder in crowd:
                for _ in range(150):
                    await say(flooder, "watch", topics=[])
            for flooder in crowd:
                problem = await hear(flooder)
                assert isinstance(problem, Problem)
                assert problem.code == "too_fast"
                assert "200 with this token" in problem.detail
            # 600 in all: 200 at once, 200 a second from then on.
            assert hub.runner.counts.limited >= 4
            for flooder in crowd:
                await asyncio.wait_for(await flooder.ping(), 10)
            assert loop.time() - began > 0.5

    async def test_cameras_with_the_same_token_are_not_slowed(self) -> None:
        async with serving() as hub:
            hub.runner.limits = Limits(messages_at_once=2_000, messages_per_s_per_token=1)
            async with connected(hub) as cam, connected(hub) as flooder:
                await say(cam, "hello", role="camera", instance="i", cameras=[{"name": "door"}])
                assert isinstance(await hear(cam), Welcome)
                for _ in range(1500):
                    await flooder.send("x")
                for number in range(1500):
                    await say(cam, "shot", snap=f"s{number}", camera="door", state="captured")
                await say(cam, "cancel", snap="behind-them")
                while not isinstance(problem := await hear(cam), Problem):
                    pass
                assert problem.re == "behind-them"
                assert hub.runner.counts.limited <= 1  # the flooder's

    def test_who_sends_little_never_waits_for_the_others(self) -> None:
        rates, limits = MessageRates(), Limits(messages_per_s_per_token=100, messages_at_once=1000)
        admin = Identity("one-for-all", "admin")
        heavy, light = (
            rates.with_token(Pace(500, 20_000), admin, limits, lambda: False) for _ in range(2)
        )
        for tenth in range(1, 200):
            heavy_s = heavy.take(50, tenth / 10)
            assert light.take(1, tenth / 10) == 0
        assert heavy_s > 1

    def test_a_cameras_token_has_no_bucket_of_its_own(self) -> None:
        own = Pace(500, 20_000)
        fleet = Identity("fleet", "camera", frozenset({"door"}))
        assert MessageRates().with_token(own, fleet, Limits(), lambda: False) is own


def test_settings_reach_the_hub(tmp_path: Path) -> None:
    with Served(tmp_path / "data", max_messages_per_s_per_token=7, max_snaps_per_minute=2) as one:
        assert one.system.runner.limits.messages_per_s_per_token == 7
        assert one.system.runner.limits.snaps_per_minute == 2
