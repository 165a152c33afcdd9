"""Labels: what a row is asked to foretell, and from when on that is known."""
