"""The same trust for ``requests``, which has a store of certificates of its own."""

from __future__ import annotations

import ssl
from typing import Any

from requests.adapters import HTTPAdapter


class TrustAdapter(HTTPAdapter):
    """Checks servers against one context, and against nothing else.

    ``requests`` by itself would add its own store to whatever the context trusts, or the file that
    ``REQUESTS_CA_BUNDLE`` names: a pin would then be one authority among 140.

    Args:
        context: what decides.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Gives the context to every connection."""
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Gives it to those through a proxy, too."""
        return super().proxy_manager_for(*args, **kwargs, ssl_context=self._context)

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        """Leaves out whatever else is asked for."""
        return super().build_connection_pool_key_attributes(request, True, cert)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Adds no store."""
