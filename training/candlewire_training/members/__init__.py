"""Members: models of the label's classes that may enter the ensemble."""
