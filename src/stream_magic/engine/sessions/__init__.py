"""Sessions of keys in arrays: an epoch costs the rows that it brings, not the sessions that there are."""
