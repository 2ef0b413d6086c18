"""Runs the networks from TensorRT engines: the ONNX graphs they are built from, the builder, the files and the calls."""
