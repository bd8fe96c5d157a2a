"""Sockets of several workers: on one address, each with its part of the connections."""

import contextlib
import selectors
import socket
from collections.abc import Iterator

import pytest

from millisight.errors import SettingsError
from millisight.server.listeners import listen

HERE = "127.0.0.1"


@contextlib.contextmanager
def listening(
    count: int, *, host: str = HERE, port: int = 0
) -> Iterator[tuple[list[socket.socket], int]]:
    """So many sockets, and their port."""
    listeners = listen(host, port, count)
    with contextlib.ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
        yield listeners, listeners[0].getsockname()[1]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_are_on_one_port(count: int) -> None:
    with listening(count) as (listeners, port):
        assert [listener.getsockname() for listener in listeners] == [(HERE, port)] * count
        assert port != 0


def test_each_gets_connections() -> None:
    with contextlib.ExitStack() as stack:
        listeners, port = stack.enter_context(listening(3))
        selector = stack.enter_context(selectors.DefaultSelector())
        for listener in listeners:
            selector.register(listener, selectors.EVENT_READ)
        # The kernel draws lots: one of three gets none of 200 once in 10^35.
        for _ in range(200):
            stack.enter_context(socket.create_connection((HERE, port), timeout=30))
        assert len(selector.select(30)) == 3


def test_a_port_can_be_taken_again_at_once() -> None:
    with listening(1) as ([listener], port), socket.create_connection((HERE, port), timeout=30):
        # Whoever closes first has to remember the connection for a minute.
        listener.accept()[0].close()
    with listening(2, port=port) as (listeners, _):
        assert len(listeners) == 2


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("second", [1, 2])
def test_a_port_in_use_is_noticed_and_named(first: int, second: int) -> None:
    with listening(first) as (_, port):
        with pytest.raises(SettingsError) as caught:
            listen(HERE, port, second)
        assert f"Cannot listen on {HERE} port {port}: Address already in use." in str(caught.value)
        assert "--port" in caught.value.hint


def test_a_single_one_is_not_joined_even_by_those_who_would_share() -> None:
    with listening(1) as (_, port), socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind((HERE, port))


@pytest.mark.parametrize("host", ["203.0.113.1", "a..b"])
def test_what_is_no_address_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match=f"Cannot listen on {host} port 0: "):
        listen(host, 0, 2)


def test_ipv6_is_itself_alone() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 in this Python")
    try:
        with listening(2, host="::1") as (listeners, port):
            assert {listener.getsockname()[:2] for listener in listeners} == {("::1", port)}
            socket.create_connection(("::1", port), timeout=30).close()
    except SettingsError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    with listening(2, host="::") as (_, port), pytest.raises(ConnectionRefusedError):
        socket.create_connection((HERE, port), timeout=30)
