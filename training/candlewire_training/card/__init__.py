"""Model cards: what a model is, what it was judged on, and where not to use it."""
