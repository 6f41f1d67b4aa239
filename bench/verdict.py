"""Why a bench ends with an error: a promise was broken, or the bench itself is. Slowness is no reason."""


class BrokenPromise(Exception):
    """A frame or message was lost, repeated, altered or out of order, or refused without a reason."""


class BrokenHarness(Exception):
    """The bench, or a server that it measures, does not work."""
