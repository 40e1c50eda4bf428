"""ONNX files of a model's step: writing one, its metadata, and the weights that lie beside a foreign one."""
