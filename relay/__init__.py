"""The server: opaque ciphertext frames in, the same frames out.

Owns mailboxes, logins, bundles and their limits, and one key, which only signs. Knows no key that opens a
message, and imports nothing first-party but `wire`.
"""
