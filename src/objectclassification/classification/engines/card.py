"""What is known of a model at an engine: where it is, what goes in, what comes out.

It is stored as a model's file is, under its own hash.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote, unquote, urlsplit

import msgspec
from msgspec import Meta

from objectclassification.classification.adoption.card import MOST_LABELS, Card, Label, Name
from objectclassification.classification.tensors import Input
from objectclassification.errors import ModelError, ObjectClassificationError

AWAY_S: Final = 2.0
"""An engine that does not answer is left alone for so long; then it is asked whether it is ready,
before it is given a picture."""
MOST_ADDRESS: Final = 512
MOST_CARD_BYTES: Final = 32 * 2**20
"""Of a card: :data:`MOST_LABELS` of the longest."""

Address = Annotated[str, Meta(min_length=1, max_length=MOST_ADDRESS)]
Tensor = Annotated[str, Meta(min_length=1, max_length=256)]

_PATH = re.compile(r"(?P<before>.*?)/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?/?")


class EngineAway(ObjectClassificationError):
    """An engine does not answer, or not now: the picture waits for it.

    Attributes:
        had_picture: whether it had been given the picture by then, which may be why.
    """

    code = "engine_away"
    retryable = True

    def __init__(self, detail: str, *, had_picture: bool = False) -> None:
        super().__init__(detail)
        self.had_picture = had_picture


class WrongAnswer(ModelError):
    """An engine answered what cannot be used, and will again."""

    code = "wrong_answer"


class WantedEngine(Card, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a model at an engine; the engine's own word says the rest.

    Attributes:
        address: of the model: ``http://host:8080/v2/models/NAME``, and ``/versions/V``.
    """

    address: Address


class Output(msgspec.Struct, frozen=True):
    """What comes out: a score for each label.

    Attributes:
        name: of the tensor.
        are_probabilities: they are a softmax's already.
    """

    name: Tensor
    are_probabilities: bool


class EngineCard(msgspec.Struct, frozen=True):
    """A model at an engine, as it is stored.

    Attributes:
        id: its name here.
        address: of the model.
        labels: in the order of its output.
        input: the tensor that it takes.
        output: the tensor that it gives.
        binary: tensors travel as bytes behind the JSON, and not as numbers in it.
    """

    id: Name
    address: Address
    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=MOST_LABELS)]
    input: Input
    output: Output
    binary: bool
    form: Literal["engine"] = "engine"

    def encoded(self) -> bytes:
        """Its file: the same card is the same bytes, so that it has one hash."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def sha256(self) -> str:
        """Hex digest of its file; of what runs at the engine nothing here can know one."""
        return hashlib.sha256(self.encoded()).hexdigest()


def read(file: Path) -> EngineCard:
    """Reads a stored card.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=EngineCard)
    except OSError as exc:
        raise ModelError(f"the model {file} cannot be read: {exc.strerror}") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ModelError(f"{file} is no card of a model at an engine") from exc


def clean(address: str) -> str:
    """Brings a model's address into one form: with its version, without a slash at its end.

    Raises:
        ModelError: it is none.
    """
    like = "http://host:8080/v2/models/NAME"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")  # as whoever connects does: a name's parts have 1 to 63 letters
    except ValueError as exc:
        raise ModelError(f"not an address of a model: {exc}; it looks like {like}") from exc
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ModelError(
            "an engine's address has no user, password or query: the setting `engine_headers` "
            "names a file for what it asks for"
        )
    found = _PATH.fullmatch(parts.path)
    if parts.scheme not in ("http", "https") or not host or found is None:
        raise ModelError(f"not an address of a model: it looks like {like}")
    if len(address) > MOST_ADDRESS or not address.isprintable():
        raise ModelError(f"an address has at most {MOST_ADDRESS} characters, all of them printable")
    path = f"{found['before']}/v2/models/{_once(found['model'])}"
    if found["version"]:
        path += f"/versions/{_once(found['version'])}"
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def base(model_address: str) -> str:
    """The engine of a model's address: ``http://host:8080``, and what is before ``/v2``."""
    return model_address.partition("/v2/models/")[0]


def _once(part: str) -> str:
    return quote(unquote(part), safe="")
