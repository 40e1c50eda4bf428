"""A model of the zoo or an ONNX file to a graph."""
