"""Messages that are nearly good: each is read or refused, and the hub serves the others on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification import messages as m
from objectclassification.auth import Identity
from objectclassification.bounds import MAX_CONTEXT_BYTES
from objectclassification.errors import BadMessage
from tests.fuzz.jsons import mutated
from tests.fuzz.settings import fuzz
from tests.hubs import OPERATOR, VIEWER, Bench

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
EXAMPLES = [
    json.loads(example)
    for example in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]
REQUEST = {k: v for k, v in next(e for e in EXAMPLES if "to" in e).items() if k != "type"}
YARD = Identity("yard-token", "camera", frozenset({"yard"}))


@fuzz(1500)
@given(mutated(EXAMPLES))
def test_what_a_client_sends(frame: bytes) -> None:
    try:
        message = m.decode_client(frame)
    except BadMessage as exc:
        assert len(exc.detail) <= 256
        assert exc.re is None or len(exc.re) <= 64
        m.encode(m.Problem(code=exc.code, detail=exc.detail, re=exc.re)).decode()  # can be told
        return
    if not isinstance(message, str):
        assert m.decode_client(m.encode(message)) == message


@fuzz(700)
@given(mutated(EXAMPLES))
def test_what_a_hub_sends(frame: bytes) -> None:
    try:
        message = m.decode_hub(frame)
    except BadMessage:
        return
    if not isinstance(message, str):
        assert m.decode_hub(m.encode(message)) == message


@fuzz(700)
@given(mutated([REQUEST]))
def test_a_request_over_http(body: bytes) -> None:
    try:
        request = m.read_snap_request(body)
    except BadMessage:
        return
    assert len(m.encode(request)) <= 2 * m.MAX_MESSAGE_BYTES + 2 * MAX_CONTEXT_BYTES + 256 * 70


@fuzz(150)
@given(
    st.sampled_from([VIEWER, OPERATOR, YARD]),
    st.lists(mutated(EXAMPLES), min_size=5, max_size=15),
)
def test_the_hub_serves_the_others_on(identity: Identity, frames: list[bytes]) -> None:
    bench = Bench(until="captured")
    door, honest = bench.camera("door"), bench.controller()
    bench.camera("yard", identity=YARD)
    for frame in frames:
        hostile = bench.connect(identity)
        bench.say(hostile, m.Hello(role="controller", instance="hostile"))
        bench.hub.receive(hostile, frame)
        bench.carry_out()
    bench.heard(honest)
    bench.say(honest, m.SnapRequest(to=("door",), id="honest"))
    bench.report(door, m.ShotReport(snap="honest", camera="door", state="captured"))
    done = [heard for heard in bench.heard(honest) if isinstance(heard, m.Done)]
    assert [(each.answered, each.snap) for each in done] == [(1, "honest")]
    bench.wait(m.MAX_DEADLINE_S)
    assert bench.hub.live_snaps == 0


@pytest.mark.parametrize("text", ["[" * 5000, '{"a":' * 5000, '{"type":"snap","to":' + "[" * 5000])
def test_depth_is_refused(text: str) -> None:
    if text.startswith("["):  # a plain message
        assert m.decode_client(text.encode()) == text
    else:
        with pytest.raises(BadMessage):
            m.decode_client(text.encode())
