"""The `candlewire` command."""
