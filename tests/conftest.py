"""Small vocoders in the real formats, for every test that needs one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import bench
from bench.measure.ceilings import FOLDER_VARIABLE
from bench.records.jsonl import read_records
from bench.records.schema import Record
from bench.vocoders.bigvgan import BigVgan, BigVganConfig
from bench.vocoders.synthetic import initialise

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent
# Where the package under test lies: the checkout, or site-packages where a wheel is tested.
PACKAGE = str(Path(bench.__file__).resolve().parent.parent)


def pytest_configure(config: pytest.Config) -> None:
    """Makes warnings errors, here and not in a user's sweep; what the project ignores stays ignored."""
    ignored = list(config.getini("filterwarnings"))
    for line in ["error", *ignored]:
        config.addinivalue_line("filterwarnings", line)


# NVIDIA's config.json fields for a v3 that a test can afford.
SMALL_V3 = {
    "num_mels": 100,
    "upsample_initial_channel": 64,
    "upsample_rates": [4, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "resblock": "1",
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "activation": "snakebeta",
    "snake_logscale": True,
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
    "sampling_rate": 24000,
    "hop_size": 256,
    "n_fft": 1024,
    "win_size": 1024,
    "fmin": 0,
    "fmax": None,
}


def small_v3(**changes: object) -> BigVgan:
    """A BigVGAN with few channels and synthetic weights."""
    model = BigVgan(BigVganConfig.from_json({**SMALL_V3, **changes}))
    initialise(model, 0)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session", autouse=True)
def own_ceilings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests measure the machine for themselves, whatever the user's cache holds, and leave nothing in it."""
    os.environ[FOLDER_VARIABLE] = str(tmp_path_factory.mktemp("ceilings"))


@pytest.fixture(scope="session")
def v3_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A v3 checkpoint directory with few channels."""
    directory = tmp_path_factory.mktemp("weights") / "bigvgan_v2_24khz_100band_256x"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(SMALL_V3), encoding="utf-8")
    torch.save({"generator": small_v3().state_dict()}, directory / "bigvgan_generator.pt")
    return directory


_PROFILE = """
[[grid]]
versions = ["v3"]
precisions = ["fp32"]
batches = [1]
frames = [1]

[stop]
min_rounds = 6
max_rounds = 6
time_limit_s = 5.0
"""


def sweep(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the speed suite in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "suites/test_speed.py", "--benchmark-only", "--threads=1", *arguments],
        cwd=ROOT,
        # Benchmarks refuse to run where tests are spread over processes; this one stands alone.
        env={name: value for name, value in os.environ.items() if "XDIST" not in name}
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": PACKAGE},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


class SweepRun:
    """What one run of the suite left behind."""

    def __init__(self, directory: Path, weights: Path) -> None:
        profile = directory / "tiny.toml"
        profile.write_text(_PROFILE, encoding="utf-8")
        self.results, self.json = directory / "results", directory / "benchmark.json"
        self.done = sweep(
            f"--profile={profile}",
            f"--weights={weights}",
            f"--results={self.results}",
            f"--benchmark-json={self.json}",
            f"--engine-cache={directory / 'engines'}",
            "--device=cpu",
        )

    def records(self) -> dict[str, Record]:
        """Its records by backend."""
        [directory] = self.results.iterdir()
        return {record.case.backend: record for record in read_records(directory)}


@pytest.fixture(scope="session")
def cpu_sweep(tmp_path_factory: pytest.TempPathFactory, v3_directory: Path) -> SweepRun:
    """One sweep over every backend on the CPU."""
    return SweepRun(tmp_path_factory.mktemp("run"), v3_directory)
