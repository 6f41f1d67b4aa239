"""`blindpost audit`: shows whether a relay can see anything that it should not.

Owns the canaries, the search for them, what is captured of a relay, and the report. Knows nothing of how a
relay works inside: it looks at its sockets, files, output and memory, as anybody could.
"""
