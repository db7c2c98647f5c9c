"""`demo`: the tour that `make run` shows: one event in, its profile out, telemetry with it, then live traffic."""

import argparse
import time
from typing import TYPE_CHECKING

from devicesync.cli.options import number
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings, on_this_machine

if TYPE_CHECKING:
    import threading

    from devicesync.assembly.demo import Demo

SEED = (
    b'{"device_id":"232455","uaspec":{"agent":"Chrome","system":"Linux","ver":"68.0.3440.75","raw":"Mozilla/5.0 (X11; '
    b'Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/68.0.3440.75 Safari/537.36"},"city":"Bengaluru",'
    b'"country_code":"IN","country":"India","api_last_updated_on":1566383863167,"device_spec":{"os":"Android 6.0",'
    b'"make":"Motorola XT1706"},"district_custom":"","fcm_token":"asda","first_access":1565328282703,'
    b'"state_code_custom":"29","state":"Karnataka","state_code":"KA","state_custom":"Karnataka",'
    b'"producer_id":"dev.sunbird.portal"}'
)
"""The event of the original request, as one line of device-profile.log."""
_DEVICE = "232455"


def demo_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `demo`."""
    parser.add_argument("--seconds", type=number(float, 0), help="end by itself after so long [until Ctrl-C]")
    parser.add_argument("--rate", type=number(float, 1), default=200.0, help="simulated registrations a second [200]")


def demo(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """A short tour: one event goes in, its profile comes out, telemetry shows it, then live traffic its freshness.

    It keeps to the data directory, whatever servers the settings name.
    """
    from devicesync.assembly.demo import demonstrating, with_admin_key, with_city_file
    from devicesync.cli.demo_telemetry import telemetry
    from devicesync.cli.process import stop_on_signals

    stop = stop_on_signals()
    key = "one of admin_keys" if settings.admin_keys else ""
    settings = with_admin_key(with_city_file(on_this_machine(settings)))
    with demonstrating(settings, stop) as running:
        _one_event(running)
        telemetry(running.register, running.embedded.stores.database, _say)
        _next_steps(settings, running, key or settings.admin_keys)
        _live_traffic(running, stop, arguments.seconds, arguments.rate)
    _say("\nstopped; everything acknowledged is in the log and in both stores, and the next start goes on from here")
    return Outcome()


def _one_event(running: "Demo") -> None:
    from devicesync.law.profile import profile_of

    _say(f"1. A registration is appended to the log, {running.embedded.journal.path}:\n\n   {SEED.decode()[:110]}…\n")
    state = running.register(_DEVICE, SEED)
    if profile_of(state) is None:
        _say(f"   {_DEVICE} was erased here at {state.erased}, so this older registration stays away; a newer one:\n")
        state = running.register(_DEVICE, SEED.replace(b"{", b'{"version":%d,' % (time.time_ns() // 1000), 1))
    _say(f"2. Its profile, version {state.version}:\n")
    for name, value in (profile_of(state) or {}).items():
        _say(f"   {name:<22}{value}")


def _next_steps(settings: Settings, running: "Demo", key: str) -> None:
    file, public = settings.city_file, running.public
    _say(f"\nThe Device Register API is on {public}; its page explains the calls. Places come from")
    _say(f"   {file or 'nowhere: no City file could be had; set city_file to one in MaxMind format'}")
    _say(f"\n   curl -X POST {public}/v1/device/register/my-phone -H 'Content-Type: application/json' \\")
    _say("""     -d '{"request": {"ip_addr": "106.51.74.1", "userDeclaredLocation": {"state": "Karnataka"}}}'""")
    _say(f"   curl {public}/v1/device/profile/my-phone")
    _say(f"\n   Watch it arrive: {running.admin} shows live figures and follows a device, for example my-phone.")
    _say(f"   The key for its dead letters: {key}")
    where = "" if settings.data_dir == Settings().data_dir else f" --data-dir {settings.data_dir}"
    _say("\n4. Now try, in another terminal:\n")
    for command in ("get 232455", "erase 232455", "simulate --rate 1000", "dead-letters list", "doctor", "--help"):
        _say(f"   .venv/bin/devicesync {command}{'' if command == '--help' else where}")


def _live_traffic(running: "Demo", stop: "threading.Event", seconds: float | None, rate: float) -> None:
    from devicesync.assembly.demo import DEVICES

    _say(f"\n4. Live: {rate:.0f} registrations a second of {DEVICES} devices, 1 % of them bad. Ctrl-C stops.\n")
    _say("   freshness, from the log to readable:    p50       p99       max     applied    refused")
    for spread, counts in running.traffic(stop, seconds, rate):
        _say(
            f"   {time.strftime('%H:%M:%S')}  {spread.records:5d} in this second   {spread.p50_ms:6.1f} ms"
            f" {spread.p99_ms:6.1f} ms {spread.max_ms:6.1f} ms {counts.applied:9d} {counts.dead.total():9d}"
        )


def _say(text: str) -> None:
    print(text, flush=True)
