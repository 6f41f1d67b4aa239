"""What `blindpost relay doctor` looks at: settings, files, disk, clock, certificate and the way in.

`findings` is what a check says, `examination` the order of checks. Nothing here changes anything; nothing
that runs in a relay imports it.
"""
