"""The demonstration behind `make demo`: real processes, real kills, and a search for leaks."""
