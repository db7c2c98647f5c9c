"""What several jobs use: waiting, the limit of refusals, records of a backup, counting, chores beside a job."""
