"""Open-loop load: requests are sent when they are due, whether or not earlier ones were answered.

Latency counts from the moment a request was due, so a stall of the server (or of this generator) is seen in
every request that it delayed: no coordinated omission.
"""
