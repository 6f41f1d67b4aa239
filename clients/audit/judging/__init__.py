"""Whether what passed is what this protocol says: the judge, its rules and its figures."""
