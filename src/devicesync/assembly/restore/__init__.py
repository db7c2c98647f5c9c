"""`restore`: run.py chooses the files; stores.py and topic.py bring them back, by several processes, resumable."""
