"""The demo: train on real bars, serve, replay a live stream, report. Run `make demo`."""
