"""`digests`: a file made of a store, by several processes, and two such files compared."""
