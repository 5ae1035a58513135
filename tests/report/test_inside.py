"""Inside one inference: what was profiled is drawn by stage or by kernel, and what was not has its command."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.records.kinds.profile import Profile, ProfiledKernel, ProfiledLayer
from bench.records.plan import Plan, write_plan
from bench.records.run import load_run
from bench.records.schema import Record
from bench.report.figures.inside import REST, inside, parts
from bench.report.figures.plot import Drawing
from bench.report.render import write_report
from bench.report.section import Page
from bench.report.sections.inside import InsideSection, asks
from bench.spec import Weights
from tests.synthetic_records import quality_record, speed_record, write_run

FAST = Case("v3", "tensorrt", "fp16", 1, 468)
LAYERS = (
    ProfiledLayer("conv_pre", "conv", 10, 0.1, "compute", 0.5),
    ProfiledLayer("ups.0.0", "transposed conv", 10, 0.25, "compute", 0.5),
    ProfiledLayer("resblocks.0.convs1.0", "conv", 10, 0.5, "compute", 1.0),
    ProfiledLayer("resblocks.0.convs1.1", "conv", 10, 0.75, "memory", 1.0),
    ProfiledLayer("resblocks.0.activations.0", "activation", 10, 2.0, "memory", 1.0),
    ProfiledLayer("ups.1.0", "transposed conv", 10, 0.25, "compute", 0.5),
    ProfiledLayer("conv_post", "conv", 10, 0.25, "compute", 0.5),
)
KERNELS = (ProfiledKernel("void at::native::add<float>(int)", 3, 4.0), ProfiledKernel("at::native::add<half>", 2, 6.0))
PROFILE = Profile(kernel_count=5, kernels_ms=10.0, busy_percent=40.0, kernels=KERNELS, layers=LAYERS)


def profile_record(case: Case, profile: Profile = PROFILE) -> Record:
    """A record of the kind."""
    return replace(speed_record(case), kind="profile", build=None, precision=None, result=profile)


def test_layers_are_summed_by_stage_and_kind() -> None:
    """Stages begin with their upsampling; floors add up, and what no layer took stands at the end."""
    found = {part.name: part for part in parts(PROFILE)}
    assert list(found) == [
        "input, convolutions",
        "stage 1, upsampling",
        "stage 1, convolutions",
        "stage 1, activations",
        "stage 2, upsampling",
        "output, convolutions",
        REST,
    ]
    stage = found["stage 1, convolutions"]
    assert (stage.ms, stage.share, stage.compute_ms, stage.memory_ms) == (2.0, 20.0, 0.5, 0.75)
    assert stage.bound_by == "memory"
    assert found[REST].ms == 5.0
    assert sum(part.share for part in found.values()) == pytest.approx(100)


def test_without_times_of_layers_kernels_stand(tmp_path: Path) -> None:
    """Kernels of one name are one bar, whatever their types, with how often they ran."""
    profile = replace(PROFILE, layers=tuple(replace(layer, ms=None) for layer in LAYERS))
    [part] = parts(profile)
    assert (part.name, part.ms, part.share, part.calls) == ("add", 10.0, 100.0, 5)
    many = replace(profile, kernels=tuple(ProfiledKernel(f"kernel_{place}", 1, 1.0) for place in range(30)))
    [row] = load_run(write_run(tmp_path, [speed_record(FAST)])).rows
    found = inside(row, many)
    assert isinstance(found, Drawing)
    bars = found.spec["data"]["values"]
    assert len(bars) == 16
    assert (bars[-1]["name"], bars[-1]["size"]) == ("15 others", 15.0)
    assert "does not tell its layers apart" in found.caption


def test_a_bar_is_split_at_its_floors(tmp_path: Path) -> None:
    """Floors of arithmetic and memory come first; a part that undercuts its floor is all floor."""
    [row] = load_run(write_run(tmp_path, [speed_record(FAST)])).rows
    found = inside(row, PROFILE)
    assert isinstance(found, Drawing)
    sizes: dict[str, list[float]] = {}
    for item in found.spec["data"]["values"]:
        sizes.setdefault(item["name"], []).append(item["size"])
    assert sizes["stage 1, convolutions"] == [0.5, 0.75, 0.75]
    assert sizes["stage 1, activations"] == [0.0, 1.0, 0.0]
    assert sizes[REST] == [0.0, 0.0, 5.0]
    assert "busy for 40 %" in found.caption


def test_what_the_profiler_cannot_see_is_a_sentence(tmp_path: Path) -> None:
    """A backend without PyTorch's operators leaves nothing to draw."""
    nothing = Profile(kernel_count=0, kernels_ms=0.0)
    folder = write_run(tmp_path / "run", [speed_record(FAST), quality_record(FAST), profile_record(FAST, nothing)])
    html = str(InsideSection(Page(load_run(folder), str)).html())
    assert "saw no kernel of this case" in html


def test_the_section(tmp_path: Path) -> None:
    """The chosen case has its figure, table and lines of Markdown; other cases need none."""
    folder = write_run(tmp_path / "run", [speed_record(FAST), quality_record(FAST), profile_record(FAST)])
    html = write_report(folder).html.read_text(encoding="utf-8")
    assert '<section id="inside"' in html
    assert "stage 1, convolutions: 2.00 (20 %, memory)" in html
    assert "was not taken apart" not in html
    assert "| stage 1, convolutions | 2.00 | 20.0 | memory |" in (folder / "summary.md").read_text(encoding="utf-8")
    columns = (folder / "cases.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert "profile.kernels_ms" in columns
    assert not {"profile.kernels", "profile.layers"} & set(columns)


def test_a_chosen_case_without_a_profile_has_its_command(tmp_path: Path) -> None:
    """It names the case and the run, and the weights where the run does not know them."""
    records = [speed_record(FAST), quality_record(FAST)]
    folder = write_run(tmp_path / "run", records)
    [ask] = asks(load_run(folder))
    assert ask.command == f"vocoder-bench profile {FAST.id} --into {folder}"
    assert ask.command in str(InsideSection(Page(load_run(folder), str)).html())
    own = Weights(False, "mine", "f" * 64, 1)
    folder = write_run(tmp_path / "own", [replace(record, weights=own) for record in records])
    assert asks(load_run(folder))[0].command.endswith("--weights PATH")
    write_plan(folder, Plan("synthetic-run", "2026-01-01", (), settings={"weights": ["/mine"]}, ended="complete"))
    assert asks(load_run(folder))[0].command.endswith(str(folder))
