"""One-off questions about engines and numerics, with their answers in README.md."""
