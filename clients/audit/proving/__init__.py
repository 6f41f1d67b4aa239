"""What the code of a relay could do at all: read as text, and run behind tripwires."""
