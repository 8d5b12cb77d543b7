"""What the operating system allows a server."""

from __future__ import annotations

import resource

BACKLOG = 4096
"""Connections the kernel queues: a fleet that reconnects at once must not be refused."""
TLS_GOODBYE_S = 1.0
"""How long a TLS connection that we close waits for the other side's goodbye; a client that only
looks at its socket when it needs it next would hold up every stop."""


def raise_file_limit() -> int:
    """Raises the soft limit on open files to the hard one; returns what it is now.

    Each connection is an open file, and the usual soft limit is 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
