"""The engines of a server's models: who is asked, and who is left alone for now."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Collection, Mapping, Set
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import msgspec

from objectclassification.classification.engines.card import (
    EngineAway,
    EngineCard,
    Output,
    WantedEngine,
    base,
    clean,
    read,
)
from objectclassification.classification.outcome import Outcome
from objectclassification.classification.pool import ClassifierPool
from objectclassification.classification.trial import gradient
from objectclassification.errors import ChildDied, ModelError

if TYPE_CHECKING:
    import aiohttp

    from objectclassification.classification.engines.engine import Engine

MOST_AT_A_TIME: Final = 4
"""Pictures that engines have; an engine batches them as it likes."""
LOOKED_FOR_S: Final = 5.0
"""How long it is known whether a model is ready: whoever lists them asks no more often."""


class Engines:
    """All engines; what asks them is loaded with the first.

    Args:
        timeout_s: for one answer.
        headers: what to send to each, by its address; they hold secrets.
        top: how many predictions to give for each picture.
    """

    def __init__(
        self, *, timeout_s: float, headers: Mapping[str, Mapping[str, str]], top: int
    ) -> None:
        self._timeout_s = timeout_s
        self._headers = {address.rstrip("/"): found for address, found in headers.items()}
        self._top = top
        self._engines: dict[str, Engine] = {}
        self._models: set[str] = set()
        self._session: aiohttp.ClientSession | None = None
        self._cards: dict[Path, EngineCard] = {}
        self._looked: dict[str, str | None] = {}
        self._looked_at = -math.inf

    def watch(self, addresses: Collection[str]) -> None:
        """Knows these models, by their addresses, and no others."""
        self._models = set(addresses)
        self._cards.clear()
        self._engines = {
            address: each for address, each in self._engines.items() if address in self._models
        }
        self._looked_at = -math.inf

    @property
    def models(self) -> Set[str]:
        """Addresses of all models at engines."""
        return self._models

    @property
    def away(self) -> dict[str, str]:
        """Addresses of the models whose engine is left alone now, and why."""
        return {
            address: engine.trouble
            for address in self._models
            if (engine := self._engines.get(address)) is not None and engine.is_away
        }

    async def look(self) -> dict[str, str | None]:
        """Asks all, by their models' addresses, whether they are ready; None, or why not."""
        if time.monotonic() - self._looked_at >= LOOKED_FOR_S:
            addresses = sorted(self._models)
            found = await asyncio.gather(*map(self._look_at, addresses))
            self._looked = dict(zip(addresses, found, strict=True))
            self._looked_at = time.monotonic()
        return self._looked

    async def label(self, file: Path, outcome: Outcome) -> Outcome:
        """Has a model's engine find the labels of a picture.

        Args:
            file: the model's card.
            outcome: of a child, with the tensor.

        Raises:
            EngineAway: not now.
            ModelError: it cannot be used, or answers what cannot be.
        """
        card = self.card(file)
        self._models.add(card.address)
        began = time.monotonic()
        scores = await self._engine(card.address).infer(card, outcome.tensor)
        from objectclassification.classification.ranking import ranked, softmax

        if not card.output.are_probabilities:
            scores = softmax(scores)
        labels = ranked(scores, card.labels, top=self._top)
        if outcome.predictions:  # boxes: then each says who made it
            labels = tuple(msgspec.structs.replace(each, model=card.id) for each in labels)
        spent_ms = round((time.monotonic() - began) * 1000, 3)
        return replace(
            outcome,
            predictions=(*labels, *outcome.predictions),
            confidence=round(labels[0].score, 4),
            model_id=card.id,
            model_sha256=card.sha256,
            elapsed_ms={**outcome.elapsed_ms, "engine": spent_ms},
            tensor=b"",
        )

    def card(self, file: Path) -> EngineCard:
        """A model's card, by its file, whose name is its hash.

        Raises:
            ModelError: it cannot be read.
        """
        if not file.exists():
            self._cards.pop(file, None)
        if file not in self._cards:
            self._cards[file] = read(file)
        return self._cards[file]

    async def adopt(self, model_id: str, wanted: WantedEngine) -> EngineCard:
        """Asks an engine about a model, and tries it on a picture.

        Raises:
            ModelError: it cannot be used, or its engine does not answer.
        """
        wanted = msgspec.structs.replace(wanted, address=clean(wanted.address))
        engine = self._new_engine(wanted.address)
        try:
            card = await engine.describe(model_id, wanted)
            scores = await engine.infer(card, await _tried(card))
        except EngineAway as exc:
            raise ModelError(exc.detail) from exc
        from objectclassification.classification.engines.protocol import are_probabilities

        output = Output(card.output.name, are_probabilities(scores))
        return msgspec.structs.replace(card, output=output)

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _look_at(self, address: str) -> str | None:
        try:
            await self._engine(address).check_ready()
        except (EngineAway, ModelError) as exc:
            return exc.detail
        return None

    def _engine(self, address: str) -> Engine:
        if address not in self._engines:
            self._engines[address] = self._new_engine(address)
        return self._engines[address]

    def _new_engine(self, address: str) -> Engine:
        # A server without engines does not load what asks them.
        from objectclassification.classification.engines.engine import Engine

        headers = self._headers.get(base(address), {})
        return Engine(address, self._connections, headers, self._timeout_s)

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            connector = aiohttp.TCPConnector(
                ssl=ssl.create_default_context(), limit=0, limit_per_host=2 * MOST_AT_A_TIME
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # a proxy or a .netrc of this account is not meant for engines
            )
        return self._session


async def _tried(card: EngineCard) -> bytes:
    """The tensor of a picture with every brightness, made in a child."""
    pool = ClassifierPool(1)
    try:
        await pool.start()
        with TemporaryDirectory() as folder:
            picture = Path(folder, "picture.png")
            await asyncio.to_thread(picture.write_bytes, gradient())
            return (await pool.classify(picture, tensor=card.input)).tensor
    except ChildDied as exc:
        raise ModelError(f"it was tried on a picture, and {exc.detail}") from exc
    finally:
        await pool.close()
