"""What can be seen of a relay: its process, files, words and memory, and what of it could not be seen."""
