"""What an audit found, as a report: its form, what follows from it, its page, its signature."""
