"""Measurements: what a message costs and where the time goes. Figures, never tests of speed."""
