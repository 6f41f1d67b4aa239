"""Backups of a profile, and profiles made from them. The format stands in docs/backup.md."""
