"""Files as people have them, read into canonical bars: one module per kind of file.

`loading.load` is the way in. It tells the layout, the time zone, what the bars' stamps mean, the timeframe
and the symbol from the file itself, says why, takes the caller's word over its own, and asks when the file
does not say.
"""
