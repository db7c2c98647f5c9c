"""The Device Register API: the front of the flow. It writes the log and nothing else, and reads profiles back."""

from devicesync.extras import require

require("api")
