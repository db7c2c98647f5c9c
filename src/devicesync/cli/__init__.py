"""The commands: thin, and loaded one by one."""
