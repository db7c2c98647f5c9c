"""devicesync: device profiles that are never stale. Rooms: law, log, cache, database, jobs, status, cli."""
