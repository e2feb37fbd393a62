"""A trained student as an ONNX model that needs neither torch nor mmdet, checked against mmdet."""
