"""One file a backend, named after it; :func:`backends` finds every file in this folder.

A file that cannot be imported takes no other along: it stands as a backend of its name whose cases become rows with the
reason. A backend is looked for in its own file first, so that a sweep imports no more than it runs.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable

import torch

from bench.backend import REGISTRY, Backend, Request, Runner
from bench.case import Case
from bench.errors import InputError, first_line, not_installed

_broken: dict[str, "BrokenBackend"] = {}
_unchecked: set[str] = set()
# Hears of a step before it begins that runs a backend's code; bench.run.tryout listens.
_listeners: list[Callable[[str, str], None]] = []


class _AnyOption(tuple[str, ...]):
    """The options of a backend that nobody could ask."""

    __slots__ = ()

    def __contains__(self, _: object) -> bool:
        return True


class BrokenBackend(Backend):
    """Stands for a file that cannot be imported.

    Args:
        name: The backend's, by the name of its file.
        reason: Why it cannot be imported, naming the file.
        missing: Whether a package is missing, so that it is unavailable here and not wrong.
    """

    options = _AnyOption()

    def __init__(self, name: str, reason: str, *, missing: bool) -> None:
        self.name, self._reason, self._missing = name, reason, missing

    def unavailable_reason(self, _: torch.device, /) -> str | None:
        """The reason where a package is missing; else raises it."""
        if self._missing:
            return self._reason
        raise ImportError(self._reason)

    def prepare(self, _: Request, /) -> Runner:
        """Raises the reason."""
        raise ImportError(self._reason)


def backends() -> dict[str, Backend]:
    """Every backend by name, eager first because the others are compared with it."""
    for module in _modules():
        _import(module)
    found = _broken | REGISTRY
    return dict(sorted(found.items(), key=lambda item: (item[0] != "eager", item[0])))


def find_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        InputError: there is none.
    """
    module = name.replace("-", "_")
    if name not in REGISTRY and module in _modules():
        _import(module)
    found = REGISTRY.get(name) or _broken.get(name) or backends().get(name)
    if found is None:
        raise InputError(f"unknown backend {name!r}; choose from {', '.join(backends())}")
    return found


def check(case: Case) -> None:
    """Looks at a case's options before anything runs; what else goes wrong there becomes the case's row.

    Raises:
        InputError: a value that an option does not have.
    """
    backend = find_backend(case.backend)
    if case.backend in _unchecked:
        return
    _tell("check", case.backend)
    try:
        backend.check(case)
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException:  # noqa: BLE001 - the case is asked again where it runs, and says so
        return


def exclude(step: str, name: str, reason: str) -> None:
    """Leaves a step out that ended a process.

    Args:
        step: ``"import"`` or ``"check"``.
        name: The module or the backend.
        reason: How the process ended.
    """
    if step == "check":
        _unchecked.add(name)
        return
    _stand_in(name, reason, missing=False)


def listen(listener: Callable[[str, str], None]) -> None:
    """Lets ``listener`` hear of every import and check before it begins."""
    _listeners.append(listener)


def _modules() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__)]


def _import(module: str) -> None:
    name = f"{__name__}.{module}"
    if name in sys.modules or module.replace("_", "-") in _broken:
        return
    _tell("import", module)
    before = dict(REGISTRY)
    try:
        importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit and its like are this file's fault, and cost it only
        REGISTRY.clear()
        REGISTRY.update(before)
        _stand_in(module, first_line(error), missing=_is_missing(error))


def _is_missing(error: BaseException) -> bool:
    """Whether a package is not installed; a module of this project that is not there is a mistake in the file."""
    return isinstance(error, ModuleNotFoundError) and not_installed(error) is not None


def _stand_in(module: str, reason: str, *, missing: bool) -> None:
    name = module.replace("_", "-")
    _broken[name] = BrokenBackend(name, f"bench/backends/{module}.py cannot be imported: {reason}", missing=missing)


def _tell(step: str, name: str) -> None:
    for listener in _listeners:
        listener(step, name)
