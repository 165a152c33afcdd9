"""The tree benchmark's report."""

import platform
from pathlib import Path
from typing import Any

SIDES = {
    "onnxruntime": "ONNX Runtime session",
    "session-avx512": "session with the kernel, AVX-512",
    "session-avx2": "session with the kernel, AVX2",
    "session-portable": "session with the kernel, portable",
    "kernel-avx512": "kernel alone, AVX-512",
    "kernel-avx2": "kernel alone, AVX2",
    "kernel-portable": "kernel alone, portable",
    "xgboost": "XGBoost, from Python",
    "lightgbm": "LightGBM, from Python",
    "tl2cgen": "tl2cgen, from Python",
}


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cell(result: dict[str, float] | None) -> str:
    if result is None:
        return "-"
    return f"{result['us_per_row']:.3g} ({result['times_onnxruntime']:.1f})"


def _table(case: dict[str, Any]) -> list[str]:
    batches = list(case["results"])
    lines = [
        "| side | " + " | ".join(f"batch {batch}" for batch in batches) + " |",
        "|---" * (len(batches) + 1) + "|",
    ]
    for side, name in SIDES.items():
        cells = [case["results"][batch].get(side) for batch in batches]
        if any(cells):
            lines.append(f"| {name} | " + " | ".join(_cell(cell) for cell in cells) + " |")
    return lines


def markdown(outcome: dict[str, Any]) -> str:
    """The whole report."""
    machine, versions, build = outcome["machine"], outcome["versions"], outcome["build"]
    load = ", ".join(f"{value:.1f}" for value in outcome["load_average"])
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        "# Tree kernel",
        "",
        f"{machine['processor']}, {machine['cores']} cores, load average {load}; {named}.",
        f"{outcome['rounds']} rounds, all sides in turn in each.",
        "",
        "One thread. Microseconds of processor time a row; in brackets how many times faster than ONNX",
        "Runtime's session in the same round. Both are medians over the rounds. Every call has new rows.",
        "X2: XGBoost, 300 trees, depth 6; X3: XGBoost, three classes, 900 trees, depth 6; L3: LightGBM,",
        "three classes, 900 trees of 31 leaves; 64 features. Sessions run into tensors made beforehand, as",
        "in the server.",
        "",
        f"{build['trees']:,} trees of depth 6 are read and built in {build['build_ms']:.0f} ms.",
        "",
    ]
    if outcome["quick"]:
        lines += ["**A quick run: trained on few rows, the models are smaller than they should be.**", ""]
    for case in outcome["cases"]:
        lines += [
            f"## {case['case']}, {case['rows']}",
            "",
            *_table(case),
            "",
            f"{case['rows_bit_equal']} rows bit-equal to ONNX Runtime: every threshold and its neighbours,",
            "zeros, infinities, denormals and NaN, then rows of this kind.",
            f"Read and built in {case['build_ms']:.0f} ms.",
            "",
        ]
    return "\n".join(lines)
