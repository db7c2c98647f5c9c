"""What several jobs use: waiting, the limit of refusals, ways to deliver events, counting, chores beside a job."""
