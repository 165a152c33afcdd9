"""Search over settings; every trial is counted."""
