"""Restore: a backup through the law into live stores, with proof (gather, prove), or into a topic (republish).

Into stores there are two steps, each with many processes. The first one joins every file's events by device, and writes them into
buckets. Nothing goes into a store before every file has proved to be whole. The second one writes each bucket and reads it back.
"""
