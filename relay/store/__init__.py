"""Where mailboxes, device lists and prekeys are kept: one small protocol, several engines.

`base` says what every engine promises, `memory` is the reference, `sqlite` is what a relay runs on.
"""
