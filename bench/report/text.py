"""Numbers and names as the report writes them."""

from bench.case import Case
from bench.records.facts import Facts

MIB = 2**20
TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 3) -> str:
    """A value with ``digits`` significant digits and no exponent; empty when it was not measured.

    >>> number(0.01234), number(12.0), number(345678.0), number(None)
    ('0.0123', '12.0', '345678', '')
    """
    if value is None:
        return ""
    if value != value or value in (float("inf"), float("-inf")):
        return str(value)
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}" if abs(value) >= 10**digits else f"{value:#.{digits}g}".rstrip(".")
    if abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}"
    return f"{value:#.{digits}g}"


def interval(value: float | None, low: float | None, high: float | None, digits: int = 4, unit: str = "") -> str:
    """A value and its interval; the value alone where there is none, and nothing where there is no value.

    >>> interval(12.31, 12.28, 12.36, unit=" ms"), interval(2.0, None, None, 3)
    ('12.31 ms [12.28, 12.36]', '2.00')
    """
    if value is None:
        return ""
    ends = "" if low is None or high is None else f" [{number(low, digits)}, {number(high, digits)}]"
    return f"{number(value, digits)}{unit}{ends}"


def ratio(value: float | None, low: float | None, high: float | None) -> str:
    """A speedup and its interval, such as ``2.51x [2.48, 2.55]``."""
    return interval(value, low, high, 3, TIMES)


def heading(facts: Facts) -> str:
    """What a figure's column is called, such as ``MAD, ms``."""
    unit = "MiB" if facts.unit == "bytes" else facts.unit
    return f"{facts.title}, {unit}" if unit else facts.title


def cell(facts: Facts, value: float | None) -> str:
    """A figure without its unit, as under its heading; empty when it was not measured.

    >>> cell(Facts("Allocator", "bytes"), 5 * 2**20), cell(Facts("MAD", "ms", digits=2), 0.0123)
    ('5.00', '0.012')
    """
    return number(value / MIB if value is not None and facts.unit == "bytes" else value, facts.digits)


def quantity(facts: Facts, value: float | None) -> str:
    """A figure with its unit; empty when it was not measured."""
    unit = "MiB" if facts.unit == "bytes" else facts.unit
    return f"{cell(facts, value)} {unit}".rstrip() if value is not None else ""


def mebibytes(value: int | None) -> str:
    """Bytes as MiB without the unit; empty when they were not measured."""
    return "" if value is None else number(value / MIB)


def shape(case: Case) -> str:
    """The shape of a case in words, such as ``batch 4, 468 frames``."""
    return f"batch {case.batch}, {case.frames} frames"


def count(items: int, one: str, many: str | None = None) -> str:
    """A count with its noun in the right number.

    >>> count(1, "case"), count(3, "case")
    ('1 case', '3 cases')
    """
    return f"{items} {one if items == 1 else many or one + 's'}"
