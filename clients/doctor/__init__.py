"""What is wrong with a profile or a relay, and what to do about it: the checks behind `blindpost doctor`.

Owns the order of the checks. Each ends in one finding; none changes anything, waits without a deadline, or
disturbs a process that has the profile open.
"""

from clients.doctor.examination import examine
from clients.doctor.findings import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]
