"""What a terminal says at the end of a sweep: the fastest way of each vocoder that sounds right, if there is one."""

import shutil
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.case import VERSIONS
from bench.errors import InputError
from bench.recommend.choice import recommend
from bench.records.run import load_run


def answers(run: Path, width: int | None = None) -> list[str]:
    """One row a vocoder and device: what to run, its time, its sound; or why there is no answer.

    Args:
        run: ``results/<run>``.
        width: Columns; None for the terminal's.

    Returns:
        Lines of plain text; none where nothing was timed.
    """
    table = Table(box=None, pad_edge=False)
    for head in ("", "fastest that sounds right", "one call", "sound"):
        table.add_column(head, overflow="fold")
    try:
        groups = load_run(run).groups
    except InputError:
        return []
    for version in VERSIONS:
        for device in dict.fromkeys(group.device for group in groups if group.version == version):
            table.add_row(f"{version} on {device}", *_answer(run, version, device))
    if not table.row_count:
        return []
    console = Console(width=width or shutil.get_terminal_size((120, 24)).columns, color_system=None)
    with console.capture() as text:
        console.print(table)
    here = Path.cwd()
    name = run.relative_to(here) if run.is_relative_to(here) else run
    return ["", *(line.rstrip() for line in text.get().splitlines()), "", f"all of it: vocoder-bench report {name}"]


def _answer(run: Path, version: str, device: str) -> tuple[str, str, str]:
    try:
        found = recommend(run, version, device=device)
    except InputError as error:
        return f"none: {error}", "", ""
    return found.chosen.case.id, f"{found.chosen.value:.4g} {found.unit}", found.chosen.why
