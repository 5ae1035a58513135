"""The service's process: a socket, uvicorn, and an end that finishes what was taken."""

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from bench.cluster import connected, find_ray
from bench.errors import InputError
from bench.serve.app import create_app
from bench.serve.settings import ServeSettings


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Args:
        host: Address or name.
        port: 0 for any that is free.

    Raises:
        InputError: it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # With its protocol named, asyncio sends small answers at once instead of waiting for an acknowledgement.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(1024)
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(f"--host {host} --port {port} cannot be listened on: {error}") from error
    return found


def serve(settings: ServeSettings, host: str, port: int) -> int:
    """Serves until SIGTERM or Ctrl-C; requests that were taken are answered first.

    Returns:
        The exit code: 0.

    Raises:
        InputError: the address cannot be listened on, or Ray is not there.
    """
    with bind(host, port) as listening, _ray(settings):
        address, number = listening.getsockname()[:2]
        sys.stdout.write(f"listening on http://{address}:{number}\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            create_app(settings),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=int(settings.limits.request_s) + 1,
            timeout_keep_alive=75,
            backlog=1024,
            server_header=False,
        )
        # uvicorn ends in order and then raises the signal again, for whoever was there before it: nobody.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _nothing)
        with suppress(KeyboardInterrupt):
            asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
    return 0


@contextmanager
def _ray(settings: ServeSettings) -> Iterator[None]:
    """Ray's connection, where it is needed; made in the main thread, with which Ray's own processes end.

    Raises:
        InputError: Ray is not there.
    """
    if not settings.ray:
        yield
        return
    ray = find_ray("--ray")
    with connected(ray):
        yield


def _nothing(_: int, __: object) -> None:
    """Handles a signal by going on."""
