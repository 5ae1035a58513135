"""A Ray of the tests' own: two processors, little memory, no network, and nothing of it left afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.serve.running import until

# Ray's own code, not ours: sockets and files that it leaves to the garbage collector.
RAY_WARNINGS = (
    "ignore::ResourceWarning",
    "ignore::DeprecationWarning:ray.*",
    "ignore::FutureWarning:ray.*",
    "ignore:Exception ignored in. <(socket|_io|ssl):pytest.PytestUnraisableExceptionWarning",
)


@contextmanager
def local_ray() -> Iterator[None]:
    """Starts Ray for the block.

    Its objects lie in a folder, because ``/dev/shm`` of a container is small, and its sockets in one with a short path.
    """
    from bench.cluster import find_ray

    ray = find_ray("a test")
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    try:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 << 20,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
            _plasma_directory=folder,
            _node_ip_address="127.0.0.1",
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)

    def gone() -> bool:
        children = {child.pid for child in psutil.Process().children(recursive=True)} - before
        return not [pid for pid in children if _is_ray(pid)]

    until(gone, 30)


def _is_ray(pid: int) -> bool:
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
    return "ray" in command
