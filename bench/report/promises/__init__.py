"""What the seed guide promised of TensorRT, and what was measured."""
