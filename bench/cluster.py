"""Ray, as the project uses it: an instance of its own on this machine, or the cluster that ``RAY_ADDRESS`` names."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

from bench.errors import InputError, first_line

# What this machine's own instance keeps answers in; they are taken out at once.
_STORE_BYTES = 256 << 20
_ADDRESS = "RAY_ADDRESS"
NICENESS = "RAY_worker_niceness"


def find_ray(needs: str) -> Any:
    """The module ``ray``.

    Args:
        needs: What asks for it, such as ``--ray``.

    Raises:
        InputError: it is not installed.
    """
    # Nothing is sent anywhere unless the user says so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray runs its workers at niceness 15; what is measured or served in them shall have the user's own.
    os.environ.setdefault(NICENESS, "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError(f'{needs} needs Ray: pip install "gpt-sovits-vocoder-bench[ray]"') from None
    return ray


@contextlib.contextmanager
def connected(ray: Any) -> Iterator[None]:
    """Connects this process for the block; one that is connected stays as it is.

    The thread that enters must live as long as the block: Ray's own processes end with it.

    Raises:
        InputError: there is no cluster at the address.
    """
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    address = os.environ.get(_ADDRESS)
    # Ray takes SIGTERM for itself as it starts.
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
            ray.init(address="local", _node_ip_address="127.0.0.1", **own, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"no Ray at {_ADDRESS}={address}: {first_line(error)}") from error
    with contextlib.suppress(ValueError):
        # Python lets the main thread alone do this.
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def last_error(message: str) -> str:
    r"""The error's own line of a traceback that Ray hands over as text.

    >>> last_error("Traceback\n  File x\nValueError: no such weights\nThe actor is dead")
    'ValueError: no such weights'
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line]
    return (errors or lines or ["Ray gives no reason"])[-1]
