"""Engines that answer what they should not: each is refused in a line, and costs nothing else."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from objectclassification.classification.adoption.card import Preprocessing
from objectclassification.classification.classifier import SHIPPED_MODEL
from objectclassification.classification.engines.card import (
    EngineAway,
    EngineCard,
    Output,
    WrongAnswer,
    clean,
)
from objectclassification.classification.engines.engines import Engines
from objectclassification.classification.engines.protocol import scores_of
from objectclassification.classification.outcome import Outcome
from objectclassification.classification.tensors import Input
from objectclassification.errors import ModelError
from tests.certificates import authority, context_of, signed_by
from tests.engines import (
    GOOD,
    LABELS,
    METADATA,
    Answer,
    Request,
    Stub,
    free_ports,
    output,
    put_alone,
)
from tests.integration.test_models import put, use
from tests.serving import Served, photo, until

pytestmark = pytest.mark.long

OF_A_MODEL = ("/", "/ready", "/infer")
SECRET = "Bearer do-not-show-me"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits a second for an engine; `door` in slot 1, `yard` in slot 2."""
    with Served(tmp_path_factory.mktemp("plant") / "data", engine_timeout_s=1) as server:
        server.new_token("camera", "door")
        server.new_token("camera", "yard")
        yield server


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as stub:
        yield stub


def ask(server: Served, address: str, **told: Any) -> Any:
    wanted = {"address": address, "labels": ["a", "b", "c"], "preprocess": "unit", **told}
    return server.call("PUT", "/api/models/net", json=wanted)


def check_refused(server: Served, address: str, why: str, **told: Any) -> None:
    before = server.files()
    refused = ask(server, address, **told)
    assert (refused.status_code, why in refused.json()["detail"]) == (422, True), refused.text
    assert "\n" not in refused.json()["detail"]
    assert server.files() == before
    assert server.call("GET", "/api/models").json() == []


def says(body: bytes | dict[str, Any], status: int = 200, **headers: str) -> Answer:
    return lambda request: request.say(body, status, **headers)


def model(**changed: Any) -> Answer:
    """The model's metadata with its input's or its output's changed."""
    (taken,), (given,) = METADATA["inputs"], METADATA["outputs"]
    taken = {**taken, **changed.get("taken", {})}
    given = {**given, **changed.get("given", {})}
    return says({**METADATA, "inputs": [taken], "outputs": [given]})


def slow(request: Request) -> None:
    """A byte now and then: each comes in time, and the whole never."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    while not request.stub.ended.wait(0.05):
        request.wfile.write(b" ")


def silent(request: Request) -> None:
    request.stub.ended.wait()


def endless(request: Request) -> None:
    request.send_response(200)
    request.send_header("Connection", "close")
    request.end_headers()
    request.close_connection = True
    while not request.stub.ended.is_set():
        request.wfile.write(b" " * 65_536)


def cut_off(request: Request) -> None:
    request.close_connection = True
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")


BAD: dict[str, tuple[str, Answer, str]] = {
    "no engine": ("server", says(b"<html>"), "does not speak the Open Inference Protocol"),
    "no such path": ("server", says({}, 404), "an address is http://host:8080/v2/models/NAME"),
    "no such model": ("/", says({"error": "no net here"}, 404), "404: no net here; an address is"),
    "no metadata": ("/", says(b"[]"), "cannot be read"),
    "two inputs": ("/", says({**METADATA, "inputs": METADATA["inputs"] * 2}), "2 inputs"),
    "no inputs": ("/", says({"name": "net"}), "0 inputs and 0 outputs"),
    "vectors": ("/", model(taken={"shape": [-1, 10]}), "takes [-1, 10]; a picture is"),
    "batches of 8": ("/", model(taken={"shape": [8, 3, 16, 16]}), "takes [8, 3, 16, 16]"),
    "no square": ("/", model(taken={"shape": [-1, 3, 16, 20]}), "takes 20 x 16 pixels"),
    "any size": ("/", model(taken={"shape": [-1, 3, -1, -1]}), "--side 224"),
    "huge": ("/", model(taken={"shape": [-1, 3, 4096, 4096]}), "8 to 1024"),
    "texts": ("/", model(taken={"datatype": "BYTES"}), "takes pixels as BYTES"),
    "halves": ("/", model(taken={"datatype": "FP16"}), "takes no tensors as bytes"),
    "other labels": ("/", model(given={"shape": [-1, 4]}), "there are 3 labels"),
    "no scores": ("/", model(given={"datatype": "INT64"}), "answers INT64"),
    "one too few": ("/infer", says(output([1.0, 2.0])), "2 scores, and there are 3 labels"),
    "another shape": ("/infer", says(output([1, 2, 3, 4], shape=[1, 4])), "[1, 4]"),
    "no numbers": ("/infer", says(output(["1", "2", "3"])), "not numbers"),
    "nothing": ("/infer", says(output([None, 1, 2])), "not numbers"),
    "ragged": ("/infer", says(output([[1], [2, 3]])), "not numbers"),
    "too much for float32": ("/infer", says(output([1e300, 1, 2])), "not numbers"),
    "NaN": ("/infer", says(b'{"outputs":[{"name":"y","data":[NaN]}]}'), "not JSON"),
    "another output": ("/infer", says(output([1, 2, 3], name="z")), "has no output 'y'"),
    "not JSON": ("/infer", says(b"\xff\xfe"), "not JSON"),
    "deep": ("/infer", says(b"[" * 60_000), "not JSON"),
    "endless": ("/infer", endless, "larger than"),
    "bytes cut short": (
        "/infer",
        says(output([], parameters={"binary_data_size": 8})),
        "0 bytes long, not 3 scores",
    ),
    "a wrong length": (
        "/infer",
        says(output([1, 2, 3]), Inference_Header_Content_Length="-7"),
        "Content-Length is not one",
    ),
    "compressed": ("/infer", says(b"x", Content_Encoding="gzip"), "compresses"),
    "refused": ("/infer", says({"error": "wrong\nshape"}, 400), "refuses the picture: 400: wrong"),
    "failing": ("/infer", says({"error": "out of memory"}, 500), "answers 500: out of memory"),
    "elsewhere": ("/", says(b"", 302, Location="http://127.0.0.1:1/"), "is not followed"),
    "slow": ("/infer", slow, "no answer within 1 s"),
    "silent": ("/infer", silent, "no answer within 1 s"),
    "cut off": ("/infer", cut_off, "broke off"),
}


TRIED = "one too few"
"""Of what is answered to a picture, one is shown to be refused when it is added."""


@pytest.mark.parametrize(
    "name", [name for name in BAD if BAD[name][0] != "/infer" or name == TRIED]
)
def test_what_is_not_added(plant: Served, stub: Stub, name: str) -> None:
    place, answer, why = BAD[name]
    stub.answers[place] = answer
    check_refused(plant, stub.address, why)


@pytest.mark.parametrize("name", [name for name in BAD if BAD[name][0] == "/infer"])
async def test_what_is_no_answer(stub: Stub, tmp_path: Path, name: str) -> None:
    _, stub.answers["/infer"], why = BAD[name]
    pixels = Input("x", "FP32", False, 16, 18, Preprocessing())
    card = EngineCard("net", stub.address, ("a", "b", "c"), pixels, Output("y", False), False)
    file = tmp_path / "card"
    file.write_bytes(card.encoded())
    outcome = Outcome(
        predictions=(),
        embedding=b"",
        embedded_by="",
        model_id="",
        model_sha256="",
        media_type="image/png",
        width=16,
        height=16,
        thumbnail=None,
        elapsed_ms={},
        tensor=bytes(pixels.size_bytes),
    )
    engines = Engines(timeout_s=1, headers={}, top=5)
    try:
        with pytest.raises((EngineAway, WrongAnswer)) as said:
            await engines.label(file, outcome)
    finally:
        await engines.close()
    assert why in said.value.detail
    assert "\n" not in said.value.detail


def test_a_good_one_is_taken_and_removed(plant: Served, stub: Stub) -> None:
    """So that none of the others is refused for another reason."""
    made = ask(plant, stub.address + "/")
    assert made.status_code == 201, made.text
    assert made.json()["address"] == stub.address
    assert ask(plant, stub.address).status_code == 200
    assert ask(plant, stub.address, labels=["d", "e", "f"]).status_code == 409
    assert plant.call("DELETE", "/api/models/net").status_code == 204


def test_nobody_is_there(plant: Served) -> None:
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}/v2/models/net"
    check_refused(plant, address, "nothing answers at http://127")
    check_refused(plant, address, "--labels FILE", labels=None)


@pytest.mark.parametrize("scores", [[3, 2, 1], [-5, -6, -7], [1e30, 0, 0]])
def test_what_were_probabilities_and_are_none(scores: list[float]) -> None:
    """Somebody exchanged the model behind the address."""
    pixels = Input("x", "FP32", False, 16, 18, Preprocessing())
    outputs = [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": scores}]
    body = json.dumps({"outputs": outputs}).encode()
    logits, softmax = (
        EngineCard(
            "net", "http://x/v2/models/net", ("a", "b", "c"), pixels, Output("y", is_), False
        )
        for is_ in (False, True)
    )
    assert scores_of(logits, body, None).tolist() == pytest.approx(scores)
    with pytest.raises(WrongAnswer, match="not any more"):
        scores_of(softmax, body, None)


def test_a_certificate_of_nobody(plant: Served, tmp_path: Path) -> None:
    tls = context_of(tmp_path, signed_by(authority()))
    with Stub(tls) as stub:
        check_refused(plant, stub.address, "is not trusted: SSL_CERT_FILE")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1:1/v2/models/", "looks like"),
        ("http://127.0.0.1:1/models/net", "looks like"),
        ("file:///v2/models/net", "looks like"),
        ("http:///v2/models/net", "looks like"),
        ("http://127.0.0.1:99999/v2/models/net", "looks like"),
        ("http://a..b/v2/models/net", "looks like"),
        (f"http://{70 * 'a'}.x/v2/models/net", "looks like"),
        ("http://me:secret@127.0.0.1:1/v2/models/net", "engine_headers"),
        ("http://127.0.0.1:1/v2/models/net?token=secret", "engine_headers"),
        ("http://127.0.0.1:1/v2/models/net/versions/1/more", "looks like"),
        ("http://127.0.0.1:1/v2/models/" + "n" * 500, "at most 512"),
    ],
)
def test_addresses(address: str, why: str) -> None:
    with pytest.raises(ModelError, match=why) as refused:
        clean(address)
    assert "secret" not in refused.value.detail


def test_an_address_has_one_form() -> None:
    assert clean("HTTP://GPU:8080/v2/models/a b/") == "http://gpu:8080/v2/models/a%20b"
    assert clean("http://x/k/v2/models/n/versions/2").endswith("/k/v2/models/n/versions/2")


def test_one_bad_picture_does_not_keep_the_others(plant: Served, stub: Stub) -> None:
    """What an engine refuses fails; what kills it each time is given up; the rest is classified."""
    assert ask(plant, stub.address).status_code == 201
    assert use(plant, "net", "door") == 200
    stub.answers["/infer"] = says({"error": "not this one"}, 400)
    refused = put(plant, 1, "refused")
    assert refused["state"] == "failed"
    stub.answers["/infer"] = cut_off
    made = plant.call("PUT", "/snippets/1", data=photo("deadly")).json()["id"]
    assert put_alone(plant, 2, "here")["state"] == "classified"
    until(lambda: plant.call("GET", f"/api/pictures/{made}").json()["state"] == "failed")
    del stub.answers["/infer"]
    good = put(plant, 1, "good")
    assert [each["label"] for each in good["predictions"]] == ["c", "b", "a"]
    assert use(plant, "shipped", "door") == 200
    assert plant.call("DELETE", "/api/models/net").status_code == 204


def test_a_slow_engine_keeps_nobody_else(plant: Served, stub: Stub) -> None:
    """And what waits for it is done by the model that its camera uses instead."""
    assert ask(plant, stub.address).status_code == 201
    use(plant, "net", "door")
    stub.answers["/infer"] = silent
    waiting = [
        plant.call("PUT", "/snippets/1", data=photo(f"slow {n}")).json()["id"] for n in range(8)
    ]
    assert put_alone(plant, 2, "here")["state"] == "classified"
    states = [plant.call("GET", f"/api/pictures/{each}").json()["state"] for each in waiting]
    assert "queued" in states
    use(plant, "shipped", "door")
    plant.settle()
    for each in waiting:
        assert plant.call("GET", f"/api/pictures/{each}").json()["state"] == "classified"
    plant.call("DELETE", "/api/models/net")


def test_of_two_models_one_is_not_loaded(plant: Served, stub: Stub) -> None:
    """Its pictures wait; those of the other model at the same engine do not."""
    other = {f"/models/other{'' if place == '/' else place}": GOOD[place] for place in OF_A_MODEL}
    stub.answers.update(other)
    address = f"{stub.url}/v2/models/other"
    assert ask(plant, stub.address).status_code == 201
    wanted = {"address": address, "labels": ["d", "e", "f"], "preprocess": "unit"}
    assert plant.call("PUT", "/api/models/other", json=wanted).status_code == 201
    assert use(plant, "other", "door") == use(plant, "net", "yard") == 200
    for place in other:
        stub.answers[place] = says({"error": "not loaded"}, 404)
    made = [
        plant.call("PUT", "/snippets/1", data=photo(f"other {n}")).json()["id"] for n in range(6)
    ]
    until(lambda: address in plant.parts.engines.away)
    found = [put_alone(plant, 2, f"net {n}")["predictions"][0]["label"] for n in range(3)]
    assert found == ["c"] * 3
    states = {plant.call("GET", f"/api/pictures/{each}").json()["state"] for each in made}
    assert states <= {"queued", "leased", "uploaded"}
    stub.answers.update(other)
    plant.settle()
    for each in made:
        picture = plant.call("GET", f"/api/pictures/{each}").json()
        assert (picture["state"], picture["predictions"][0]["label"]) == ("classified", "f")
    assert use(plant, "shipped", "door", "yard") == 200
    for name in ("net", "other"):
        assert plant.call("DELETE", f"/api/models/{name}").status_code == 204


def test_tensors_as_bytes(plant: Served, stub: Stub) -> None:
    """To an engine that offers it, by the extension's word; the answers are the local ones."""
    session = onnxruntime.InferenceSession(SHIPPED_MODEL)

    def infer(request: Request) -> None:
        length = int(request.headers["Inference-Header-Content-Length"])
        asked = json.loads(request.body[:length])
        (wanted,) = asked["inputs"]
        assert wanted["parameters"] == {"binary_data_size": len(request.body) - length}
        pixels = np.frombuffer(request.body[length:], np.uint8).reshape(wanted["shape"])
        (scores,) = session.run(["logits"], {"image": pixels})
        content = scores.astype("<f4").tobytes()
        told = {"name": "y", "datatype": "FP32", "shape": scores.shape}
        other = {"name": "x", "datatype": "FP32", "shape": [1]}
        sizes = [{"parameters": {"binary_data_size": n}} for n in (4, len(content))]
        head = json.dumps({"outputs": [{**other, **sizes[0]}, {**told, **sizes[1]}]}).encode()
        body = head + struct.pack("<f", 1.0) + content
        request.say(body, Inference_Header_Content_Length=str(len(head)))

    stub.answers["server"] = says({"name": "stub", "extensions": ["binary_tensor_data"]})
    stub.answers["/"] = model(
        taken={"datatype": "UINT8", "shape": [-1, 224, 224, 3]}, given={"shape": [-1, 1000]}
    )
    stub.answers["/infer"] = infer
    made = ask(plant, stub.address, labels=LABELS)
    assert made.status_code == 201, made.text
    use(plant, "net", "door")
    there, here = put(plant, 1, "bytes"), put(plant, 2, "bytes")
    assert [each["label"] for each in there["predictions"]] == [
        each["label"] for each in here["predictions"]
    ]
    assert [each["score"] for each in there["predictions"]] == pytest.approx(
        [each["score"] for each in here["predictions"]], abs=1e-6
    )
    use(plant, "shipped", "door")
    plant.call("DELETE", "/api/models/net")


def test_what_an_engine_wants_to_be_sent(
    stub: Stub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def guarded(place: str) -> Answer:
        def answer(request: Request) -> None:
            if request.headers["Authorization"] == SECRET:
                GOOD[place](request)
            else:
                request.say({"error": f"not with {request.headers['Authorization']}"}, 401)

        return answer

    stub.answers = {place: guarded(place) for place in GOOD}
    file = tmp_path / "headers.toml"
    file.write_text(f'["{stub.url}/"]\nAuthorization = "{SECRET}"\n')
    with Served(tmp_path / "one") as server:
        check_refused(server, stub.address, "see the setting engine_headers")
    with Served(tmp_path / "two", engine_headers=file) as server:
        server.new_token("camera", "door")
        assert ask(server, stub.address).status_code == 201
        use(server, "net", "door")
        assert put(server, 1, "known")["state"] == "classified"
        stub.answers["/infer"] = says({"error": f"I was sent {SECRET}"}, 503)
        server.call("PUT", "/snippets/1", data=photo("sent"))
        until(lambda: "is away" in caplog.text)
    assert "do-not-show-me" not in caplog.text
