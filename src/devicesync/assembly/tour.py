"""The tour that `demo` gives: one event in, its profile out, telemetry with it, then live traffic."""

import threading
import time
from collections.abc import Callable

from devicesync.assembly.demo import DEVICES, Demo, demonstrating, with_admin_key, with_city_file
from devicesync.assembly.tour_telemetry import telemetry
from devicesync.clock import SYSTEM
from devicesync.config import Settings, on_this_machine
from devicesync.law.profile import profile_of
from devicesync.simulation import SEED

Say = Callable[[str], None]
_DEVICE = "232455"


def tour(settings: Settings, stop: threading.Event, say: Say, *, seconds: float | None, rate: float) -> None:
    """Give the tour, on the data directory whatever servers the settings name. `say` shows a text at once.

    seconds: how long the live traffic goes on; None until `stop` is set. rate: registrations a second.

    Raises WrongUse, Held, Unavailable.
    """
    key = "one of admin_keys" if settings.admin_keys else ""
    settings = with_admin_key(with_city_file(on_this_machine(settings)))
    with demonstrating(settings, stop) as running:
        _one_event(running, say)
        telemetry(running.register, running.embedded.stores.database, say)
        _next_steps(settings, running, key or settings.admin_keys, say)
        _live_traffic(running, stop, seconds, rate, say)
    say("\nstopped; everything acknowledged is in the log and in both stores, and the next start goes on from here")


def _one_event(running: Demo, say: Say) -> None:
    say(f"1. A registration is appended to the log, {running.embedded.journal.path}:\n\n   {SEED.decode()[:110]}…\n")
    state = running.register(_DEVICE, SEED)
    if profile_of(state) is None:
        say(f"   {_DEVICE} was erased here at {state.erased}, so this older registration stays away; a newer one:\n")
        state = running.register(_DEVICE, SEED.replace(b"{", b'{"version":%d,' % (SYSTEM.now_us()), 1))
    say(f"2. Its profile, version {state.version}:\n")
    for name, value in (profile_of(state) or {}).items():
        say(f"   {name:<22}{value}")


def _next_steps(settings: Settings, running: Demo, key: str, say: Say) -> None:
    file, public = settings.city_file, running.public
    say(f"\nThe Device Register API is on {public}; its page explains the calls. Places come from")
    say(f"   {file or 'nowhere: no City file could be had; set city_file to one in MaxMind format'}")
    say(f"\n   curl -X POST {public}/v1/device/register/my-phone -H 'Content-Type: application/json' \\")
    say("""     -d '{"request": {"ip_addr": "106.51.74.1", "userDeclaredLocation": {"state": "Karnataka"}}}'""")
    say(f"   curl {public}/v1/device/profile/my-phone")
    say(f"\n   Watch it arrive: {running.admin} shows live figures and follows a device, for example my-phone.")
    say(f"   The key for its dead letters: {key}")
    where = "" if settings.data_dir == Settings().data_dir else f" --data-dir {settings.data_dir}"
    say("\n4. Now try, in another terminal:\n")
    for command in ("get 232455", "erase 232455", "simulate --rate 1000", "dead-letters list", "doctor", "--help"):
        say(f"   .venv/bin/devicesync {command}{'' if command == '--help' else where}")


def _live_traffic(running: Demo, stop: threading.Event, seconds: float | None, rate: float, say: Say) -> None:
    say(f"\n5. Live: {rate:.0f} registrations a second of {DEVICES} devices, 1 % of them bad. Ctrl-C stops.\n")
    say("   freshness, from the log to readable:    p50       p99       max     applied    refused")
    for spread, counts in running.traffic(stop, seconds, rate):
        say(
            f"   {time.strftime('%H:%M:%S')}  {spread.records:5d} in this second   {spread.p50_ms:6.1f} ms"
            f" {spread.p99_ms:6.1f} ms {spread.max_ms:6.1f} ms {counts.applied:9d} {counts.dead.total():9d}"
        )
