"""Where other machines find this server, as far as it can know."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request

from objectclassification.api.access import is_proxied
from objectclassification.certificates.names import is_among, machine_names
from objectclassification.config import ServerSettings, is_loopback
from objectclassification.config.tls import CertificateFiles, OwnAuthority
from objectclassification.hub.address import is_own_name, machine_address


def reachable_url(request: Request, settings: ServerSettings) -> str:
    """Returns this server's address for a phone, without a last slash.

    It is the one that the caller uses, if that is a name the server has. If it is not (anybody can
    write anything into ``Host``), or is one for this machine alone, as the command line uses it
    here, it is the one that the server is reached by from outside.
    """
    host, scheme = request.headers.get("host", ""), request.scope["scheme"]
    if _is_name_outside(request, host, settings):
        return f"{scheme}://{host}"
    if is_loopback(settings.host) and is_own_name(host):  # nobody else gets here
        return f"{scheme}://{host}"
    return address(scheme, served_name(settings, outside=True), request.scope["server"][1])


def _is_name_outside(request: Request, host: str, settings: ServerSettings) -> bool:
    """Whether others reach this server by what stands in ``Host``."""
    if is_own_name(host):
        return False
    if is_proxied(request.scope):  # which asks nobody but us, by the name that it is asked by
        return bool(host)
    choice = settings.certificate
    if isinstance(choice, CertificateFiles):
        # Imported here: what reads certificates is not for a server without any.
        from objectclassification.certificates.authority import certificate_names

        return is_among(host, certificate_names(choice.cert))
    more = choice.names if isinstance(choice, OwnAuthority) else ()
    return is_among(host, machine_names(settings.host).union(more))


def served_name(settings: ServerSettings, *, outside: bool) -> str:
    """Returns the name or address that this server is found by.

    Args:
        settings: of the server.
        outside: by other machines; else by its own.
    """
    choice, name = settings.certificate, settings.host
    if name in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not listened on
        name = machine_address().address if outside else "127.0.0.1"
    if isinstance(choice, CertificateFiles):
        # Imported here: what reads certificates is not for a server without any.
        from objectclassification.certificates.authority import first_host_name

        name = first_host_name(choice.cert) or name  # by its address nobody would believe it
    return name


def address(scheme: str, name: str, port: int) -> str:
    """Returns a server's address without a last slash."""
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def why_no_camera(url: str) -> str | None:
    """Why no phone could be a camera at an address, and what to do; None if one can.

    Browsers give their camera to secure contexts only: https, or the machine itself
    (https://www.w3.org/TR/secure-contexts/).
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return (
            "this server is asked by a name that only its own machine has: for phones, start it "
            "with `serve --host 0.0.0.0 --tls auto`"
        )
    if parts.scheme != "https":
        return (
            "browsers give their camera to https addresses only: start the server with "
            "`serve --tls auto`"
        )
    return None
