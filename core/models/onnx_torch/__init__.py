"""ONNX graphs in PyTorch: `graph.py` runs one, `operations.py` knows what each operation is there."""
