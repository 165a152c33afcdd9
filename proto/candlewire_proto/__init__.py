"""Generated stubs of Candlewire's gRPC contract."""
