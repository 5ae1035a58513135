"""What a kind of record is: the type of its ``result``, under the name that records carry."""

from typing import ClassVar

KINDS: dict[str, type["Result"]] = {}
"""Every kind by its name, in the order of their modules."""


class Result:
    """What one question has for an answer. A subclass is a frozen dataclass, and registers itself.

    ::

        @dataclass(frozen=True)
        class Load(Result, kind="load", title="load"):
            requests_per_s: Annotated[float, Facts("Requests", "1/s", HIGHER)]

    Attributes:
        kind: Name in records.
        title: What tables call it.
        columns: What its columns start with in :func:`bench.records.records_frame`; ``load.`` for a kind ``load``
            unless told otherwise.
        compared: Whether comparisons and the history know it; what is measured on request only is none of theirs.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    columns: ClassVar[str]
    compared: ClassVar[bool]

    def __init_subclass__(cls, *, kind: str, title: str, columns: str | None = None, compared: bool = True) -> None:
        """Registers the kind."""
        if kind in KINDS:
            raise ValueError(f"there is a kind {kind!r} already: {KINDS[kind].__qualname__}")
        cls.kind, cls.title, cls.columns = kind, title, f"{kind}." if columns is None else columns
        cls.compared = compared
        KINDS[kind] = cls
