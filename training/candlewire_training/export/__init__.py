"""Export: one fused ONNX graph, its parity gate and its bundle."""
