"""`candlewire top`: what a running server tells of itself, read from outside."""
