"""Members: models of direction that may enter the ensemble."""
