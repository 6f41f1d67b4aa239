"""Servers that the relay is compared with, each started with its own files and settings, one core each."""
