"""`blindpost chat`: reading and writing at once, in a terminal.

Owns what is on the screen and what the keys do. `conversation`, `layout`, `pane`, `wrap`, `marks`,
`commands` and `pace` are pure; `talk` speaks to the profile and knows no terminal; `screen` and `plain` are
its two faces. Knows nothing of keys, stores or relays: all it asks for are the calls of clients/local.
"""
