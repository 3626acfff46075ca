"""Connections whose reads share one deadline: a server that drips bytes holds no call, in its headers or its body.

The HTTP library bounds each single read; nothing there bounds their sum.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import httpcore
import httpx

Rest = Callable[[], float]
"""The seconds that are left; raises when none are."""


@cache
def known_authorities(trusts_environment: bool) -> ssl.SSLContext:
    """Whose certificates count, read once a process: that takes as long as ten calls."""
    return httpx.create_ssl_context(trust_env=trusts_environment)


class DeadlineNetwork(httpcore.NetworkBackend):
    """Opens connections as usual; inside ``until``, what the calling thread reads must come in time.

    ``on_sent`` is called whenever bytes of a request have left, handshakes apart.
    """

    def __init__(self, on_sent: Callable[[], None]) -> None:
        self.on_sent = on_sent
        self._backend = httpcore.SyncBackend()
        self._of_thread = threading.local()

    def serve(self, client: httpx.Client) -> None:
        """Become the network of ``client``, through whichever proxy of the environment it goes."""
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - no other way in keeps proxies
            if isinstance(transport, httpx.HTTPTransport):
                transport._pool._network_backend = self  # noqa: SLF001

    @contextmanager
    def until(self, rest: Rest) -> Iterator[None]:
        """Bound what this thread reads inside the block; ``rest`` is looked at before and after each read."""
        self._of_thread.rest = rest
        try:
            yield
        finally:
            self._of_thread.rest = None

    def rest(self) -> float | None:
        """The seconds that the calling thread has left, None without a deadline."""
        rest: Rest | None = getattr(self._of_thread, "rest", None)
        return rest() if rest else None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection whose reads keep the deadline."""
        return _Stream(self._backend.connect_tcp(host, port, timeout, local_address, socket_options), self)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, network: DeadlineNetwork) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        rest = self._network.rest()
        bounds = [bound for bound in (timeout, rest) if bound is not None]
        content = self._stream.read(max_bytes, min(bounds, default=None))
        self._network.rest()
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)
        self._network.on_sent()

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._network)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as the base class has it
        return self._stream.get_extra_info(info)
