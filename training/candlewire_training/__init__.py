"""Candlewire's training: from market bars to one calibrated ONNX graph in a bundle."""
