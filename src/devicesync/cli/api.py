"""`api`: the Device Register API alone."""

import argparse

from devicesync.cli.options import listen_options, settings_of, verbose_option


def api_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `api`."""
    verbose_option(parser)
    listen_options(parser)


def api(arguments: argparse.Namespace) -> None:
    """The Device Register API alone: registrations into the log, profiles out of the stores. Ctrl-C or SIGTERM stops it.

    With a journal, an `up` or `update` on the same data directory takes what it writes into the stores; with a Kafka log
    any number of `api` and `update` may run, on any machines. The page at / explains the calls.
    """
    from devicesync import adapters, data_directory  # noqa: PLC0415 - --help needs none of it
    from devicesync.api.metrics import Metrics  # noqa: PLC0415 - --help needs none of it
    from devicesync.api.service import api as serve_api  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, running, stop_on_signals  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=arguments.verbose)
    settings = settings_of(arguments).settings
    stop = stop_on_signals()
    if not adapters.is_shared(settings):
        data_directory.prepare(settings.directory)
    log = adapters.open_log(settings)
    with (
        serve_api(settings, log, lambda: adapters.open_stores_to_read(settings), Metrics()) as (public, admin),
        running("api", f"listening on {public}, admin on {admin}.", stop),
    ):
        stop.wait()
    log.close()
