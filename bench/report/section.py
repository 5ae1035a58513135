"""What a section of the report is. A module of :mod:`bench.report.sections` holds one, and is found by being there.

A new kind of record brings a section of its own, which asks rows for its results::

    class Load(Section, anchor="load", nav="Load", order=45):
        def html(self) -> Markup:
            loads = [row.answer(LoadResult) for row in self.page.run.rows]
            ...
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from markupsafe import Markup

import bench.report.sections
from bench.compare.observation import Observation
from bench.compare.result import Comparison
from bench.records.run import Run
from bench.report.figures.plot import Plot

SECTIONS: dict[str, type["Section"]] = {}
"""Every section by its anchor."""


@dataclass(frozen=True)
class Page:
    """What a report is made of.

    Attributes:
        run: The run.
        link: Turns a file into an address relative to the page.
        comparisons: Comparisons of the run that were made already.
        before: Observations of the runs that those have as their base.
        baseline: A run to compare with.
        history: A history folder whose nights to show.
    """

    run: Run
    link: Callable[[Path], str]
    comparisons: Sequence[Comparison] = field(default=())
    before: Sequence[Observation] = field(default=())
    baseline: Path | None = None
    history: Path | None = None


class Section(ABC):
    """One section of the report, made for one page. A subclass registers itself.

    Attributes:
        anchor: Its id in the page.
        nav: What the page's navigation calls it.
        order: Sections with a lower one stand before it.
    """

    anchor: ClassVar[str]
    nav: ClassVar[str]
    order: ClassVar[int]

    def __init_subclass__(cls, *, anchor: str, nav: str, order: int) -> None:
        """Registers the section."""
        cls.anchor, cls.nav, cls.order = anchor, nav, order
        SECTIONS[anchor] = cls

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def shown(self) -> bool:
        """Whether the page has something for it."""
        return True

    @abstractmethod
    def html(self) -> Markup:
        """The section as a ``<section>`` whose id is the anchor."""

    def markdown(self) -> list[str]:
        """Lines of ``summary.md``, the heading first; none by default."""
        return []

    def plots(self) -> Sequence[Plot]:
        """Figures that may be written as files of their own; none by default."""
        return ()


def find_sections() -> list[type[Section]]:
    """Every section there is, in order."""
    for module in pkgutil.iter_modules(bench.report.sections.__path__):
        importlib.import_module(f"bench.report.sections.{module.name}")
    return sorted(SECTIONS.values(), key=lambda section: section.order)


def make_sections(page: Page) -> list[Section]:
    """The sections that a page shows, in order."""
    made = (section(page) for section in find_sections())
    return [section for section in made if section.shown]
