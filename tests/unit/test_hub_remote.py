"""Whom a connection is from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectclassification.config import load_server
from objectclassification.errors import ConfigurationError
from objectclassification.hub.remote import TrustedProxies, host_of

PROXIES = TrustedProxies("127.0.0.1, 10.0.0.0/8, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("192.0.2.9", ["192.0.2.1"], "192.0.2.9"),  # no proxy of ours
        ("127.0.0.1", ["198.51.100.1, 192.0.2.1"], "192.0.2.1"),  # its left was made up
        ("127.0.0.1", ["198.51.100.1", "192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1, 10.1.2.3"], "192.0.2.1"),  # two proxies of ours
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["192.0.2.1:5555"], "192.0.2.1"),
        ("127.0.0.1", ["[2001:db8::1]:5555"], "2001:db8::1"),
        ("fd00::1", ["2001:db8::1"], "2001:db8::1"),
        ("::ffff:127.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1, nonsense"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["127.0.0.1.evil.example"], "127.0.0.1"),
        ("", ["192.0.2.1"], ""),
    ],
)
def test_the_client_is_the_last_one_that_is_no_proxy(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert PROXIES.client(peer, forwarded) == client


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.1", ["https"], "https"),
        ("10.0.0.1", ["https, http"], "http"),
        ("10.0.0.1", ["WSS"], "https"),
        ("10.0.0.1", ["gopher"], "http"),
        ("10.0.0.1", [], "http"),
        ("192.0.2.1", ["https"], "http"),
    ],
)
def test_the_scheme_is_what_a_proxy_says(peer: str, said: list[str], scheme: str) -> None:
    assert PROXIES.scheme(peer, said, "http") == scheme


@given(st.ip_addresses().map(str), st.lists(st.text()))
def test_nobody_is_believed_who_is_not_named(peer: str, forwarded: list[str]) -> None:
    assert TrustedProxies("").client(peer, forwarded) == peer


@given(st.lists(st.text() | st.ip_addresses().map(str)))
def test_whatever_a_proxy_sends_is_survived(forwarded: list[str]) -> None:
    assert PROXIES.client("127.0.0.1", forwarded)


@pytest.mark.parametrize("text", ["*", "proxy.example", "10.0.0.1/8", "127.0.0.1 10.0.0.1"])
def test_what_is_no_address_is_a_setting_that_cannot_work(text: str) -> None:
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        load_server(trusted_proxies=text)


def test_a_socket_without_a_peer_has_no_address() -> None:
    assert host_of(("192.0.2.1", 5)) == "192.0.2.1"
    assert host_of(None) == host_of("") == host_of(()) == ""
