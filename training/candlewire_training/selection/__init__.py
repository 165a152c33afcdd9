"""Which features members read, chosen on train rows alone."""
