"""The extras of the package: which libraries each brings, and the error that names the extra where one of them is missing.

`pip install devicesync` brings the law and the embedded stores. A room that needs more asks for it when it is loaded.
"""

from importlib.util import find_spec

from devicesync.errors import WrongUse

EXTRAS = {
    "kafka": ("confluent_kafka",),
    "redis": ("redis",),
    "cassandra": ("cassandra",),
    "acsylla": ("acsylla",),
    "api": ("starlette", "uvloop", "maxminddb", "ua_parser", "jwt", "prometheus_client", "jinja2"),
    "backup": ("pyarrow", "fsspec"),
    "s3": ("s3fs", "aiobotocore"),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
}
"""By extra the modules that it brings; pyproject.toml names the packages."""


def missing(extra: str) -> list[str]:
    """Those of the extra's modules that are not installed."""
    return [module for module in EXTRAS[extra] if not _is_there(module)]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package that it would be in
        return False


def hint(extra: str) -> str:
    """How the extra is installed."""
    return f"pip install 'devicesync[{extra}]'"


def require(extra: str) -> None:
    """Raise WrongUse unless all of the extra is installed."""
    lacking = missing(extra)
    if lacking:
        raise WrongUse(f"not installed: {', '.join(lacking)}", hint(extra))
