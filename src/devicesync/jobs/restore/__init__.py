"""Restore: a backup through the law into live stores, with proof (gather, prove), or into a topic (republish).

Into stores in two steps, each over many processes. First every file's events are joined per device and spilled into buckets
by device; nothing is written before every file has proved whole. Then each bucket is written and read back.
"""
