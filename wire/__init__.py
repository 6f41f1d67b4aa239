"""The outer format that relay and clients share.

Owns the bytes and the JSON that cross a socket: frames, control messages, device lists, prekeys and
bundles (public halves only), addresses, limits, error codes and close codes. Knows no secrets, no
sockets and no cryptography: it says which bytes are signed, never whether a signature holds.
"""
