"""The time of an engine's layers, by what they do."""

from typing import Any

from studies.layers import by_kind


def test_the_time_of_an_engine_by_what_its_layers_do() -> None:
    """As TensorRT 8.6 names them; what moves data is told from what computes."""

    def reformat(name: str, before: str, after: str) -> dict[str, Any]:
        ends = {"Inputs": before, "Outputs": after}
        return {"Name": name, "LayerType": "Reformat"} | {
            end: [{"Format/Datatype": text}] for end, text in ends.items()
        }

    half, full, channels = "Row major linear FP16 format", "Row major linear FP32", "Channel major FP16 format"
    found = by_kind(
        {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0, "e": 16.0, "f": 32.0, "g": 0.0, "h": 64.0, "i": 0.5},
        [
            {"Name": "a", "LayerType": "CaskConvolution"},
            {"Name": "b", "LayerType": "CaskDeconvolutionV2"},
            {"Name": "c", "LayerType": "CaskGemmMatrixMultiply"},
            reformat("d", half, half),
            reformat("e", half, full),
            reformat("f", half, channels),
            {"Name": "g", "LayerType": "NoOp"},
            {"Name": "i", "LayerType": "PointWiseV2"},
            "a name",
        ],
    )
    assert found == [
        ("unknown", 1, 64.0),
        ("changes of memory layout", 1, 32.0),
        ("copies into another data type", 1, 16.0),
        ("copies", 1, 8.0),
        ("matrix products", 1, 4.0),
        ("transposed convolutions", 1, 2.0),
        ("convolutions", 1, 1.0),
        ("arithmetic of elements", 1, 0.5),
    ]
