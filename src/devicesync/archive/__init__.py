"""The backup: immutable files of whole records, and a manifest that says what they hold. Start with archive.py."""

from devicesync.extras import require

require("backup")
