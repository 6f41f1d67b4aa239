"""One profile, several commands: the calls that one process carries out for others on the same machine."""
