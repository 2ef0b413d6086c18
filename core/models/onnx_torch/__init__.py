"""ONNX graphs in PyTorch: `graph.py` runs one, `operations.py` and `arrangement.py` know what each operation is there."""
