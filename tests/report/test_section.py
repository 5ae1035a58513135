"""Sections are found by being there, and stand in their order."""

import pkgutil
from pathlib import Path

import bench.report.sections
from bench.case import Case
from bench.records.run import load_run
from bench.report.section import Page, find_sections, make_sections
from tests.synthetic_records import speed_record, write_run


def page(directory: Path) -> Page:
    """A page on one case."""
    return Page(load_run(write_run(directory, [speed_record(Case("v3", "eager", "fp32", 1, 468))])), str)


def test_every_module_of_the_folder_is_a_section(tmp_path: Path) -> None:
    """A module's name is its section's anchor, and the page has them all but those with nothing to show."""
    made = [section.anchor for section in make_sections(page(tmp_path))]
    modules = {module.name for module in pkgutil.iter_modules(bench.report.sections.__path__)}
    assert {section.anchor for section in find_sections()} == modules
    assert made == ["answer", "promises", "plots", "inside", "sounds", "cases", "method"]


def test_a_section_is_a_section_of_the_page(tmp_path: Path) -> None:
    """Its HTML has the anchor that the navigation leads to."""
    for section in make_sections(page(tmp_path)):
        assert section.html().lstrip().startswith(f'<section id="{section.anchor}"')
