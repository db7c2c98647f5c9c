"""Things that must not be freed: to close a connection is sometimes worse than to leave it open until the process is gone."""

import ctypes


def never_free(thing: object) -> None:
    """Keep it until the process is gone. Else Python frees what nobody refers to, at its own end at the latest."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
