"""The encrypted store of a profile. See `clients.store.store`."""
