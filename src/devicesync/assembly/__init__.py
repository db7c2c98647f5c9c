"""Jobs put together with adapters, one module a command; the only room that knows both.

adapters.py: from settings to adapters. opening.py: from a URL to one. named_log.py: what the setting `log` names.
updater.py and delivery.py: what several commands share.
Whoever runs something here hears of its progress through a Watcher (watcher.py). Nothing here prints.
"""
