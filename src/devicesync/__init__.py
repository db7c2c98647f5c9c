"""devicesync: device profiles that are never stale. Rooms: law, log, cache, database, archive, jobs, api, status, cli."""
