"""TensorRT and TensorRT-RTX by their Python bindings: shapes, builds, engines. Every version in one code path."""
