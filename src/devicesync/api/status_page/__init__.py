"""The page on the admin port: figures of this process, a device followed through the stores, dead letters with their replay.

sight.py (what it may look at) · page.py (its requests) · rendering.py (figures into HTML, over the templates beside)
"""
