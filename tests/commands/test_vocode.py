"""``vocoder-bench vocode``: its options; ``tests/test_cluster.py`` runs it."""

from pathlib import Path

import pytest

from bench.cli import main

CASE = "v3-eager-fp32-b1-t16"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--workers", "0"], "--workers is a number from 1"),
        ([], "is no folder of mels"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 before Ray is started."""
    assert main(["vocode", CASE, str(tmp_path / "none"), str(tmp_path), *arguments]) == 2
    assert sentence in capsys.readouterr().err
