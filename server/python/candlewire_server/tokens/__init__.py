"""Bearer tokens: `book` is the file, `command` is ``candlewire tokens``."""
