"""The scenes of the full drive: each uses features of the client as people do, a canary in each field.

A scene raises PersonError where a feature does not work: what was not driven proves nothing.
"""
