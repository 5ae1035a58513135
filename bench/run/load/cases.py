"""Which cases of a sweep are served."""

from collections.abc import Iterable

from bench.case import Case


def load_cases(cases: Iterable[Case]) -> list[Case]:
    """One case a configuration: the service takes any length, so that only its smallest batch and first length run."""
    found: dict[tuple[object, ...], Case] = {}
    for case in cases:
        key = (case.version, case.backend, case.precision, case.options)
        if key not in found or case.batch < found[key].batch:
            found[key] = case
    return list(found.values())
