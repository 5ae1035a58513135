"""One file a backend; :func:`backends` finds every file in this folder."""

import importlib
import pkgutil
from functools import cache

from bench.backend import REGISTRY, Backend
from bench.errors import InputError


@cache
def backends() -> dict[str, Backend]:
    """Every backend by name, eager first because the others are compared with it."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"bench.backends.{module.name}")
    return dict(sorted(REGISTRY.items(), key=lambda item: (item[0] != "eager", item[0])))


def find_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        InputError: there is none.
    """
    if name not in backends():
        raise InputError(f"unknown backend {name!r}; choose from {', '.join(backends())}")
    return backends()[name]
