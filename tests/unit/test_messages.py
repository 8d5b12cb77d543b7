"""Any bytes in: a message or a BadMessage. Any message out: the same one back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification import messages as m
from objectclassification.errors import BadMessage
from objectclassification.receipts import (
    FAILURES,
    RANK,
    PictureRef,
    Prediction,
    Shot,
    ShotError,
)

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
ids = st.from_regex(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", fullmatch=True)
marked = names | names.map("@{}".format)
selectors = st.just("*") | marked | marked.map("!{}".format)
shorts = st.text(st.characters(codec="utf-8"), max_size=64)
amounts = st.floats(0, 1e9)
small_json = st.dictionaries(
    shorts,
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | shorts
    | st.lists(shorts, max_size=3),
    max_size=3,
)
stages = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,31}", fullmatch=True)
errors = st.builds(ShotError, st.sampled_from(sorted(FAILURES)), shorts)
offers = st.builds(
    m.CameraOffer, name=names, groups=st.lists(names, max_size=3).map(tuple), source=shorts
)
reports = st.builds(
    m.ShotReport,
    snap=ids,
    camera=names,
    state=st.sampled_from(["delivered", "captured"]),
    camera_ms=st.dictionaries(stages, amounts, max_size=4),
    freshness=st.sampled_from([None, "proven", "estimated", "replay"]),
    warnings=st.lists(shorts, max_size=3).map(tuple),
    origin=st.sampled_from(["controller", "camera"]),
    taken_at=st.none() | st.floats(0, 1e12),
    taken_within_ms=st.floats(0, 1e6),
) | st.builds(
    m.ShotReport, snap=ids, camera=names, state=st.just("failed"), error=errors
)  # fmt: skip
client_messages = (
    st.builds(
        m.Hello,
        role=st.sampled_from(["camera", "controller", "listener"]),
        instance=ids,
        version=shorts,
        agent=shorts,
        cameras=st.lists(offers, max_size=4).map(tuple),
    )
    | st.builds(
        m.SnapRequest,
        to=st.lists(selectors, min_size=1, max_size=8).map(tuple),
        deadline_s=st.floats(0.001, m.MAX_DEADLINE_S),
        id=st.none() | ids,
        until=st.sampled_from(["captured", "uploaded", "classified"]),
        context=small_json,
        options=small_json,
        quorum=st.none() | st.integers(-5, 5) | st.text(max_size=16),
        at=st.none() | st.floats(0, 4e9) | st.text(max_size=40),
        in_s=st.none() | st.floats(0.001, 86_400),
    )
    | st.builds(m.Clocked, id=ids, received_at=st.floats(0, 1e12), sent_at=st.floats(0, 1e12))
    | st.builds(m.Cancel, snap=ids)
    | st.builds(
        m.Watch, topics=st.lists(st.sampled_from(["snaps", "shots", "pictures"])).map(tuple)
    ).filter(lambda watch: len(watch.topics) <= 8)
    | reports
    | st.builds(m.Sleep, camera=names, until=st.floats(0, 253_402_300_799))
)
pictures = st.builds(
    PictureRef,
    id=ids, url=shorts, sha256=shorts, media_type=shorts,
    width=st.integers(1, 60_000), height=st.integers(1, 60_000), size_bytes=st.integers(1, 2**30),
)  # fmt: skip
boxes = st.none() | st.tuples(*[st.floats(0, 1)] * 4)
shots = st.builds(
    Shot,
    camera=names,
    state=st.sampled_from(sorted(RANK)),
    freshness=st.sampled_from([None, "proven", "estimated", "replay"]),
    elapsed_ms=st.dictionaries(shorts, amounts, max_size=3),
    camera_ms=st.dictionaries(shorts, amounts, max_size=3),
    warnings=st.lists(shorts, max_size=2).map(tuple),
    picture=st.none() | pictures,
    predictions=st.lists(st.builds(Prediction, shorts, st.floats(0, 1), boxes), max_size=2).map(
        tuple
    ),
    error=st.none() | errors,
)
orders = st.builds(m.SnapOrder, id=ids, camera=names, deadline_s=amounts, options=small_json)
hub_messages = (
    st.builds(
        m.Welcome,
        heartbeat_s=amounts,
        cameras=st.lists(
            st.builds(m.CameraPlace, names, st.integers(1, 9999), st.none() | shorts), max_size=3
        ).map(tuple),
        pending=st.lists(orders, max_size=3).map(tuple),
    )
    | orders
    | st.builds(m.Accepted, snap=ids, cameras=st.lists(names, max_size=4).map(tuple))
    | st.builds(m.Shots, snap=ids, shots=st.lists(shots, max_size=4).map(tuple))
    | st.builds(
        m.Done,
        snap=ids,
        answered=st.integers(0, 99),
        failed=st.integers(0, 99),
        missing=st.integers(0, 99),
        elapsed_ms=amounts,
    )
    | st.builds(m.Problem, code=shorts, detail=shorts, re=st.none() | ids)
    | st.builds(
        m.Event,
        topic=st.sampled_from(["snaps", "shots", "cameras", "pictures"]),
        name=shorts,
        data=small_json,
    )
)


def _read(frame: bytes) -> object:
    """What a hub makes of it: None for a BadMessage; any other exception comes through."""
    try:
        return m.decode_client(frame)
    except BadMessage as exc:
        assert exc.detail
        assert len(exc.detail) <= 300
        return None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_bad_message(frame: bytes) -> None:
    assert isinstance(_read(frame), m.ClientMessage | str | None)
    try:
        assert isinstance(m.decode_hub(frame), m.HubMessage | str)
    except BadMessage as exc:
        assert exc.detail


@given(st.binary(max_size=60).map(lambda tail: b'{"type":"snap","to":["*"],' + tail))
def test_any_end_of_an_object_is_a_message_or_a_bad_message(frame: bytes) -> None:
    assert isinstance(_read(frame), m.SnapRequest | None)


@given(client_messages, st.data())
def test_a_damaged_message_is_a_message_or_a_bad_message(
    message: m.ClientMessage, data: st.DataObject
) -> None:
    frame = bytearray(m.encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(_read(bytes(frame)), m.ClientMessage | str | None)


@given(client_messages)
def test_client_messages_come_back_the_same(message: m.ClientMessage) -> None:
    assert m.decode_client(m.encode(message)) == message


@given(hub_messages)
def test_hub_messages_come_back_the_same(message: m.HubMessage) -> None:
    assert m.decode_hub(m.encode(message)) == message


@given(st.text(st.characters(codec="utf-8")).filter(lambda text: not text.lstrip().startswith("{")))
def test_whatever_is_no_object_is_a_plain_message(text: str) -> None:
    assert m.decode_client(text.encode()) == text


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (b"{", "JSON"),
        (b'{"type":"snap","to":["*"]', "JSON"),
        (b'{"type":"snap","to":[]}', "to"),
        (b'{"type":"snap","to":["a/b"]}', "to"),
        (b'{"type":"snap","to":["*"],"deadline_s":0}', "deadline_s"),
        (b'{"type":"snap","to":["*"],"deadline_s":1e-320}', "deadline_s"),
        (b'{"type":"snap","to":["*"],"deadline_s":NaN}', "JSON"),
        (b'{"type":"snap","to":["*"],"deadline_s":1e999}', ""),
        (b'{"type":"snap","to":["*"],"until":"delivered"}', "until"),
        (b'{"type":"whatever"}', "whatever"),
        (b"{}", "type"),
        (b'{"type":"shot","snap":"s","camera":"door","state":"uploaded"}', "state"),
        (b'{"type":"shot","snap":"s","camera":"door","state":"failed"}', "error"),
        (b'{"type":"snap","to":["*"],"context":{"a":"' + b"x" * 3000 + b'"}}', "context"),
        (b'{"type":"snap","to":["*"],"context":' + b'{"a":' * 20 + b"1" + b"}" * 21, "context"),
        (b'{"type":"snap","to":["*"],"context":' + b'{"a":' * 2600 + b"}" * 2600, "nested"),
        (b"x" * 16_385, "16384"),
        (b"\xff", "UTF-8"),
    ],
)
def test_bad_messages_say_what_is_wrong(frame: bytes, says: str) -> None:
    with pytest.raises(BadMessage) as refused:
        m.decode_client(frame)
    assert says in refused.value.detail


def test_a_bad_message_names_the_id_it_was_about() -> None:
    with pytest.raises(BadMessage) as refused:
        m.decode_client(b'{"type":"snap","id":"mine","to":["*"],"deadline_s":-1}')
    assert refused.value.re == "mine"
