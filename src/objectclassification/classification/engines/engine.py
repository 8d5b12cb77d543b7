"""One model at an engine: asks over HTTP, with time-outs, one more try, and a circuit breaker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import aiohttp
import stamina
import structlog
from circuitbreaker import STATE_CLOSED, CircuitBreaker

from objectclassification.classification.engines import protocol
from objectclassification.classification.engines.card import (
    AWAY_S,
    EngineAway,
    EngineCard,
    Output,
    WantedEngine,
    WrongAnswer,
    base,
)
from objectclassification.errors import ModelError
from objectclassification.masking import MASK, mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONNECT_TIMEOUT_S: Final = 3.0
LOOK_TIMEOUT_S: Final = 2.0
"""For whether it is ready, which costs an engine nothing."""
TRIES: Final = 2
"""What passes at once, as where an engine is being exchanged; what lasts, the breaker is for."""
FAILURES: Final = 3
"""So often in a row it does not answer, and it is left alone for a while."""
REFUSED: Final = frozenset({400, 413, 415, 422})
"""What an engine answers to a request that it will never take; or, of a model that it has just
loaded anew, to any."""

log = structlog.get_logger(__name__)


class Engine:
    """An engine, as far as it has one model: of two models one may be loaded and the other not.

    Args:
        address: of the model.
        session: gives the connections, which all share.
        headers: to send with every request; they hold secrets.
        timeout_s: for one answer, from the first byte that is sent to the last that comes.

    Attributes:
        address: of the model.
        base: the engine's, without the model's.
        trouble: why it was last away; empty once it answers.
    """

    def __init__(
        self,
        address: str,
        session: Callable[[], aiohttp.ClientSession],
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> None:
        self.address, self.base = address, base(address)
        self.trouble = ""
        self._is_told = False
        self._session = session
        self._headers = headers
        self._timeout_s = timeout_s
        self._breaker = CircuitBreaker(
            failure_threshold=FAILURES, recovery_timeout=AWAY_S, expected_exception=EngineAway
        )

    @property
    def is_away(self) -> bool:
        """Whether it is left alone now."""
        return bool(self._breaker.opened)

    async def infer(self, card: EngineCard, tensor: bytes) -> NDArray[np.float32]:
        """Asks for the scores of one picture.

        Returns:
            float32 ``[labels]``, as the model gives them.

        Raises:
            EngineAway: it does not answer, or is left alone.
            WrongAnswer: it answers what cannot be used.
        """
        if self.is_away:
            raise EngineAway(self.trouble)
        was_away = self._breaker.state != STATE_CLOSED
        try:
            with self._breaker:
                if was_away:
                    await self.check_ready()
                async for attempt in stamina.retry_context(
                    on=_may_pass, attempts=TRIES, wait_initial=0.1, wait_jitter=0.1
                ):
                    with attempt:
                        scores = await self._infer(card, tensor)
        except EngineAway as exc:
            self.trouble = exc.detail
            if self.is_away and not self._is_told:
                self._is_told = True
                log.warning("an engine is away: pictures wait", engine=self.address, why=exc.detail)
            raise
        if self._is_told:
            log.info("an engine answers again", engine=self.address)
        self.trouble, self._is_told = "", False
        return scores

    async def check_ready(self) -> None:
        """Asks whether the engine is ready with the model.

        Raises:
            EngineAway: it is not, and why.
        """
        status, body, _ = await self._call("GET", f"{self.address}/ready", timeout_s=LOOK_TIMEOUT_S)
        if status != 200:
            raise EngineAway(
                f"{self.base} is not ready with the model: {self._words(status, body)}"
            )

    async def describe(self, model_id: str, wanted: WantedEngine) -> EngineCard:
        """Asks what the model takes and gives.

        Raises:
            EngineAway: it does not answer.
            ModelError: there is no such model, or it cannot be used, or something must be said.
        """
        if not wanted.labels:
            raise ModelError(
                "an engine does not say a model's labels: --labels FILE, one a line, in the order "
                "of its output"
            )
        binary = protocol.speaks_binary(await self._get(f"{self.base}/v2"))
        metadata = await self._get(self.address)
        taken, given = protocol.tensors_of(metadata, wanted)
        if taken.datatype == "FP16" and not binary:
            raise ModelError("the model takes FP16, and its engine takes no tensors as bytes")
        return EngineCard(
            id=model_id,
            address=self.address,
            labels=wanted.labels,
            input=taken,
            output=Output(given, are_probabilities=False),
            binary=binary,
        )

    async def _get(self, url: str) -> bytes:
        status, body, _ = await self._call("GET", url)
        if status == 404:
            words = self._words(status, body)
            raise ModelError(
                f"{url} answers {words}; an address is http://host:8080/v2/models/NAME"
            )
        if status != 200:
            raise self._away(status, body)
        return body

    async def _infer(self, card: EngineCard, tensor: bytes) -> NDArray[np.float32]:
        body, headers = protocol.request(card, tensor)
        url = f"{self.address}/infer"
        most = protocol.most_answer_bytes(card)
        status, answer, length = await self._call("POST", url, body, headers, most=most)
        if status == 200:
            return protocol.scores_of(card, answer, length)
        if status in REFUSED:
            await self.check_ready()
            raise WrongAnswer(f"the engine refuses the picture: {self._words(status, answer)}")
        raise self._away(status, answer)

    def _words(self, status: int, body: bytes) -> str:
        """What it says of a call; never what it was sent, which it may repeat."""
        words = protocol.said(body)
        for value in self._headers.values():
            for secret in (value, value.split()[-1]):
                words = words.replace(secret, MASK)
        return f"{status}: {mask(words)}" if words else str(status)

    def _away(self, status: int, body: bytes) -> EngineAway:
        if status in (401, 403):
            detail = f"{self.base} takes no such caller ({status}): see the setting engine_headers"
        elif 300 <= status < 400:
            detail = f"{self.base} sends its callers elsewhere ({status}), which is not followed"
        else:
            detail = f"{self.base} answers {self._words(status, body)}"
        return EngineAway(detail, had_picture=status == 500)

    async def _call(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        most: int = protocol.MOST_METADATA_BYTES,
        timeout_s: float | None = None,
    ) -> tuple[int, bytes, str | None]:
        """Calls; returns the status, the body, and the length of the JSON in it if that is said."""
        limit_s = min(timeout_s or self._timeout_s, self._timeout_s)
        try:
            async with self._session().request(
                method,
                url,
                data=body,
                headers={"Accept-Encoding": "identity", **(headers or {}), **self._headers},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=limit_s, sock_connect=CONNECT_TIMEOUT_S),
            ) as response:
                content = await _bounded(response, most)
                return response.status, content, response.headers.get(protocol.JSON_LENGTH)
        except aiohttp.ClientConnectorCertificateError as exc:
            raise EngineAway(
                f"the certificate of {self.base} is not trusted: SSL_CERT_FILE names a file with "
                "its authority"
            ) from exc
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            raise EngineAway(f"nothing answers at {self.base}") from exc
        except TimeoutError as exc:
            detail = f"{self.base} gave no answer within {limit_s:g} s"
            raise EngineAway(detail, had_picture=body is not None) from exc
        except aiohttp.ClientError as exc:
            detail = f"{self.base} broke off, or does not speak HTTP"
            raise EngineAway(detail, had_picture=body is not None) from exc


async def _bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, which is read no further than it may be long."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise WrongAnswer("the engine compresses its answer, which it was asked not to")
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > most:
            raise WrongAnswer(f"the engine's answer is larger than {most} bytes")
    return bytes(content)


def _may_pass(exc: Exception) -> bool:
    """Whether it is worth another try at once: not with a picture that may be to blame."""
    return isinstance(exc, EngineAway) and not exc.had_picture
