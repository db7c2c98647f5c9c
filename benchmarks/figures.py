"""What a benchmark measured: one line of JSON for each figure, with its aim, and whether it is met."""

import json


def tell(
    what: str, figure: float, unit: str = "", *, least: float | None = None, most: float | None = None, more: str = ""
) -> None:
    """Print a figure.

    unit: "×" and the like; it follows the figure. least, most: the aim; without one the figure is only told.
    more: what a reader wants to know beside it.
    """
    aim = f"≥ {least:g} {unit}".rstrip() if least is not None else f"≤ {most:g} {unit}".rstrip() if most is not None else ""
    is_met = (least is None or figure >= least) and (most is None or figure <= most)
    line = {"what": what, "figure": float(f"{figure:.3g}"), "unit": unit, "aim": aim, "met": is_met, "more": more}
    print(json.dumps(line, ensure_ascii=False), flush=True)
