"""Trust: how far a row lies from what the model has learnt from."""
