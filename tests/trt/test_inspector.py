"""What an engine's inspector tells of its convolutions."""

import pytest

from bench.trt.inspector import accumulators, convolution_types
from tests.trt.fake_tensorrt import Install, layer


def test_convolution_types_counts_convolutions_only() -> None:
    """Convolutions and deconvolutions in every spelling count; other layers and bare names do not."""
    layers = [
        layer("Convolution", "Half"),
        layer("CaskDeconvolution", "Row major linear FP16 format"),
        layer("CaskConvolution", "Row major linear BFloat16 format"),
        layer("Deconvolution", "Float"),
        layer("Convolution", "Int8"),
        layer("Convolution", "FP8E4M3"),
        layer("Convolution", "Float8"),
        layer("Reformat", "Half"),
        "a layer's name",
        {"Name": "no type"},
    ]
    assert convolution_types(layers) == {"float16": 2, "bfloat16": 1, "float32": 1, "int8": 1, "float8": 2}


@pytest.mark.parametrize("kind", ["Convolution", "CaskConvolution", "CaskDeconvolutionV2", "CaskGemmDeconvolution"])
def test_every_kind_of_convolution_counts(kind: str) -> None:
    """TensorRT 8.6 has several names for transposed ones."""
    assert convolution_types([layer(kind, "Channel major FP16 format where channel % 8 == 0")]) == {"float16": 1}


def test_kernels_tell_what_they_add_in(install: Install) -> None:
    """Sums in float16 and in float32 are told apart by the kernels' names, as TensorRT 8.6 gives them."""
    names = [
        "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x128x32_stage4_warpsize2x2x1",
        "sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize64x32x64_stage6_warpsize2x2x1",
        "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc",
        "",
    ]
    layers: list[object] = [layer("CaskConvolution", "FP16") | {"TacticName": name} for name in names]
    assert accumulators([*layers, layers[0], layer("CaskConvolution", "FP16"), "a name"]) == "float16 (2), float32 (1)"
    assert accumulators([layer("Reformat", "FP16") | {"TacticName": names[0]}]) == ""
    trt = install("10.15.1")
    trt.layers = [layer("CaskConvolution", "Row major linear FP32 format") | {"TacticName": names[1]}]
    assert trt.prepare().build.details["accumulators"] == "float32 (1)"
    trt = install("10.15.1")
    assert "accumulators" not in trt.prepare().build.details
