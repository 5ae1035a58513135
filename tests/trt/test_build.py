"""What a builder is told."""

from tests.trt.fake_tensorrt import Install


def test_options_reach_the_builder(install: Install) -> None:
    """Level, workspace and tactic sources are set as asked."""
    trt = install("10.15.1")
    trt.prepare(level="1", workspace_mib="64", tactics="cublas+edge_mask_convolutions")
    assert trt.config.builder_optimization_level == 1
    assert trt.config.memory == {"workspace": 64 * 2**20}
    assert trt.config.tactics == 0b1001


def test_profiles_reach_the_builder(install: Install) -> None:
    """Every profile of a dynamic engine is the builder's, with the mel's bands; a static engine has none."""
    trt = install("10.15.1")
    runner = trt.prepare(shapes="1x2_1x3_1x5+2x2_2x4_4x9")
    assert [profile.shape for profile in trt.config.profiles] == [
        ("mel", (1, 100, 2), (1, 100, 3), (1, 100, 5)),
        ("mel", (2, 100, 2), (2, 100, 4), (4, 100, 9)),
    ]
    assert trt.exported["dynamic"] is True
    assert runner.takes((3, 100, 9))
    assert not runner.takes((3, 100, 10))
    trt = install("10.15.1")
    trt.prepare()
    assert trt.config.profiles == []
    assert trt.exported["dynamic"] is False
