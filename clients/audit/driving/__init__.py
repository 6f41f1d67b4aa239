"""What people do: real clients as processes, every feature of them, and whether one was left out."""
