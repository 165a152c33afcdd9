"""The commands of training: `candlewire train` and `candlewire data`.

The libraries that training needs take seconds to import: each command imports them when it runs, so that the
other commands of `candlewire` start at once.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from candlewire_training.backtest.command import backtest
from candlewire_training.data.commands import register as register_data
from candlewire_training.one_line_errors import one_line_errors
from candlewire_training.training_file import use_training_file

if TYPE_CHECKING:
    from candlewire_training.data.bars import BarTable
    from candlewire_training.export.bundle import Bundle
    from candlewire_training.groups.training_run import RunReport
    from candlewire_training.pipeline import TrainedModel

data_app = typer.Typer(no_args_is_help=True, help="Bring bars in, look for defects, resample them.")
register_data(data_app)


def register(app: typer.Typer) -> None:
    """Adds the commands of this room to the `candlewire` command."""
    app.command("train")(train)
    app.command("backtest")(backtest)
    app.add_typer(data_app, name="data")


def train(
    bars: Annotated[
        Path | None,
        typer.Option(help="Parquet file of bars, or a folder of them.", rich_help_panel="Data"),
    ] = None,
    sample: Annotated[
        bool,
        typer.Option("--sample", help="Train on the bars that ship with Candlewire.", rich_help_panel="Data"),
    ] = False,
    out: Annotated[Path, typer.Option(help="Model store to write to.", rich_help_panel="Data")] = ...,  # type: ignore[assignment]
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            "--end-date",
            metavar="DATE",
            help="Use only bars before this date.",
            rich_help_panel="Data",
        ),
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="Timeframe of the bars; detected when absent.", rich_help_panel="Data")
    ] = None,
    timeframes: Annotated[
        str | None,
        typer.Option(
            metavar="1h,1d",
            help="Several timeframes that the bars hold, models of each.",
            rich_help_panel="Many",
        ),
    ] = None,
    bad_bars: Annotated[
        str, typer.Option(help="What to do with bad bars: fail or drop.", rich_help_panel="Data")
    ] = "fail",
    asset_class: Annotated[
        str, typer.Option(help="Asset class that routes and band pools go by.", rich_help_panel="Data")
    ] = "stock",
    model: Annotated[
        str | None,
        typer.Option(help="Name of the model; direction-TIMEFRAME when absent.", rich_help_panel="Model"),
    ] = None,
    horizon: Annotated[int, typer.Option(help="Bars ahead to foretell.", rich_help_panel="Model")] = 5,
    horizons: Annotated[
        str | None,
        typer.Option(metavar="1,5,20", help="Several horizons, a bundle each.", rich_help_panel="Model"),
    ] = None,
    label: Annotated[
        str,
        typer.Option(
            help="up_down, up_down_sideways, bull_neutral_bear, triple_barrier, pattern_success or "
            "entry_quality.",
            rich_help_panel="Model",
        ),
    ] = "up_down",
    members: Annotated[
        str,
        typer.Option(
            metavar="KIND,KIND",
            help="xgboost, lightgbm, random_forest, gradient_boosting, extra_trees, logistic.",
            rich_help_panel="Model",
        ),
    ] = "xgboost",
    ensemble: Annotated[
        str, typer.Option(help="stack, vote, hard_vote or fixed.", rich_help_panel="Model")
    ] = "stack",
    ensemble_weights: Annotated[
        str | None,
        typer.Option(metavar="W,W", help="Weights of --ensemble fixed.", rich_help_panel="Model"),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Feature preset, or a JSON file of a spec.", rich_help_panel="Model")
    ] = "core",
    trees: Annotated[int, typer.Option(help="Boosting rounds.", rich_help_panel="Model")] = 300,
    depth: Annotated[
        int, typer.Option(help="Levels of each tree; latency grows with it.", rich_help_panel="Model")
    ] = 3,
    learning_rate: Annotated[
        float, typer.Option(help="Shrinkage of each round.", rich_help_panel="Model")
    ] = 0.02,
    profile: Annotated[
        str,
        typer.Option(
            help="Latency: fast (40 us a row, or 5 times 300 trees of depth 6) or full (no limit).",
            rich_help_panel="Model",
        ),
    ] = "fast",
    budget_us: Annotated[
        float | None,
        typer.Option(
            metavar="MICROSECONDS",
            help="What a row may take at batch 1 in one-thread ONNX Runtime, in place of the profile.",
            rich_help_panel="Model",
        ),
    ] = None,
    target_coverage: Annotated[
        float, typer.Option(help="Long-run coverage the return band aims at.", rich_help_panel="Model")
    ] = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of everything random.", rich_help_panel="Model")] = 7,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="70/30|60/20/20|DATE/DATE|calendar",
            help="Percent of rows, oldest first: TRAIN/TEST (the newest fifth of train calibrates) or "
            "TRAIN/CALIBRATION/TEST; or when calibration and test begin (calendar: 2023 and 2024).",
            rich_help_panel="Validation",
        ),
    ] = None,
    calibration_share: Annotated[
        float, typer.Option(help="Share of rows that calibrate.", rich_help_panel="Validation")
    ] = 0.2,
    test_share: Annotated[
        float, typer.Option(help="Share of rows, the newest, that judge.", rich_help_panel="Validation")
    ] = 0.2,
    embargo: Annotated[
        int | None,
        typer.Option(
            help="Bars left out after each boundary, beyond the purge; the horizon when absent.",
            rich_help_panel="Validation",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Folds of a walk forward before the final fit; 5 when members are stacked, else none.",
            rich_help_panel="Validation",
        ),
    ] = None,
    walk_forward: Annotated[
        str,
        typer.Option(
            help="anchored, rolling, bars (500/100/50) or calendar (to 2022 / 2023 / 2024-25).",
            rich_help_panel="Validation",
        ),
    ] = "anchored",
    select_features: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Members read the N best features, chosen on the train rows of each fold; 0 takes all.",
            rich_help_panel="Validation",
        ),
    ] = 0,
    select_by: Annotated[
        str, typer.Option(help="How features are ranked: permutation or shap.", rich_help_panel="Validation")
    ] = "permutation",
    cpcv: Annotated[
        str | None,
        typer.Option(
            metavar="GROUPS,TEST_GROUPS",
            help="Combinatorial purged cross-validation as diagnosis, for example 6,2.",
            rich_help_panel="Validation",
        ),
    ] = None,
    balance_classes: Annotated[
        bool,
        typer.Option(
            "--balance-classes",
            help="Members learn with every class weighing the same.",
            rich_help_panel="Validation",
        ),
    ] = False,
    early_stopping: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Share of the train rows, the newest, on which boosting stops after 15 rounds without a "
            "better score; the rounds are then fitted on all train rows. 0 fits all rounds.",
            rich_help_panel="Validation",
        ),
    ] = 0.15,
    calibrator: Annotated[
        str,
        typer.Option(
            help="auto, venn_abers, identity, temperature, platt or isotonic; auto takes the best log loss "
            "out of fold, and venn_abers without folds.",
            rich_help_panel="Validation",
        ),
    ] = "auto",
    scoring: Annotated[
        str,
        typer.Option(
            help="What scores the members of the walk: native (their own libraries) or kernel (the server's "
            "tree kernel, with the bits of the exported graph).",
            rich_help_panel="Validation",
        ),
    ] = "native",
    maximum_overfit_gap: Annotated[
        float | None,
        typer.Option(
            help="Refuse a model whose accuracy on train rows of the folds is more above that of later ones.",
            rich_help_panel="Validation",
        ),
    ] = None,
    search: Annotated[
        int,
        typer.Option(
            help="Trials of a search over trees, depth and learning rate; the study resumes.",
            rich_help_panel="Validation",
        ),
    ] = 0,
    per: Annotated[
        str,
        typer.Option(help="A model each: pooled, symbol, regime or asset-class.", rich_help_panel="Many"),
    ] = "pooled",
    transfer: Annotated[
        bool,
        typer.Option(
            "--transfer",
            help="Start each model from one of all symbols, where that scores better out of fold.",
            rich_help_panel="Many",
        ),
    ] = False,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a run; the same command goes on where it stopped. STORE/.runs/MODEL when absent.",
            rich_help_panel="Many",
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            help="Processes at once: models, or the folds and trials of one.", rich_help_panel="Many"
        ),
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Ray cluster to train on.", rich_help_panel="Many"),
    ] = None,
    config: Annotated[  # noqa: ARG001 - its callback has read it
        Path | None,
        typer.Option(
            help="TOML file of these flags; what the command line says goes first.",
            is_eager=True,
            callback=use_training_file,
            rich_help_panel="Data",
        ),
    ] = None,
    version_stamp: Annotated[
        int | None,
        typer.Option(
            metavar="YYYYMMDDHHMMSS",
            help="Version to write; the clock's when absent. Same bars, seed and stamp give the same bytes.",
            rich_help_panel="Output",
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(help="Threads of a fit; 0 takes every core on large data.", rich_help_panel="Output"),
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only the bundle's folder.", rich_help_panel="Output")
    ] = False,
) -> None:
    """Train a model from bars and write its bundle to a store.

    Bars become features, labels (is the close higher after HORIZON bars?) and a purged chronological split;
    XGBoost is trained on the oldest part, calibrated on the middle one and judged once on the newest.
    Everything becomes one ONNX graph that must agree with the native pipeline before anything is written.

    Examples:
    candlewire train --sample --out store

    candlewire train --bars bars.parquet --out store --model daily --horizon 5 --until 2012-03-01
    """
    with one_line_errors():
        from candlewire_training.data.bars import parse_date
        from candlewire_training.errors import SettingsError
        from candlewire_training.export.bundle import write_bundle
        from candlewire_training.groups.fold_fan_out import FoldFanOut
        from candlewire_training.groups.many_models import ManyModels
        from candlewire_training.labels.contract import LabelSettings
        from candlewire_training.pipeline import train_model
        from candlewire_training.progress import StepProgress
        from candlewire_training.settings import TrainingSettings
        from candlewire_training.validation.fold_memory import fold_memory, resumable_folds
        from candlewire_training.validation.split_choice import split_choice

        if sample == (bars is not None):
            raise SettingsError("give either --bars FILE_OR_FOLDER or --sample")
        if transfer and per not in {"symbol", "regime"}:
            raise SettingsError("transfer starts models from one of all; use it with --per symbol or regime")
        parts = split_choice(split, calibration_share, test_share)
        end = parse_date(until, option="--until") if until else None
        tables = _tables(bars, timeframe, timeframes, bad_bars)
        table = tables[0]
        kinds = tuple(kind.strip() for kind in members.split(",") if kind.strip())
        steps = _numbers(horizons, int, "horizons")
        settings = TrainingSettings(
            model=model or f"direction-{table.timeframe}",
            horizon=horizon,
            preset=preset,
            trees=trees,
            depth=depth,
            learning_rate=learning_rate,
            profile=profile,
            budget_us=budget_us,
            seed=seed,
            threads=threads,
            target_coverage=target_coverage,
            calibration_share=parts.calibration_share,
            test_share=parts.test_share,
            split_at=parts.at,
            embargo_bars=max([horizon, *steps]) if embargo is None else embargo,
            label=LabelSettings(kind=label, balance_classes=balance_classes),
            members=kinds,
            ensemble=ensemble,
            ensemble_weights=_numbers(ensemble_weights, float, "ensemble-weights") or None,
            folds=(5 if search or transfer or (len(kinds) > 1 and ensemble == "stack") else 0)
            if folds is None
            else folds,
            search=search,
            study=out / ".studies" / f"{model or table.timeframe}.journal" if search else None,
            walk_forward=walk_forward,
            select_features=select_features,
            select_by=select_by,
            cpcv=_pair_of(cpcv, "cpcv"),
            early_stopping=early_stopping,
            calibrator=calibrator,
            scoring=scoring,
            maximum_overfit_gap=maximum_overfit_gap,
            asset_class=asset_class,
            until=end,
            version=version_stamp,
        )

        alone = ray is not None and settings.folds == 0
        if per != "pooled" or len(steps) > 1 or timeframes is not None or alone:
            many = ManyModels(
                per=per, horizons=steps, store=out, run=run, jobs=jobs, ray=ray, transfer=transfer
            )
            stem = None if timeframes is None else model or "direction"
            with StepProgress(quiet=quiet) as progress:
                reports, failed = many.train(tables, settings, progress, stem=stem)
            for report in reports:
                _print_run(report, quiet=quiet)
            for name, reason in failed.items():
                typer.echo(f"candlewire: {name} failed: {reason}", err=True)
            return
        settings = replace(settings, horizon=steps[0]) if steps else settings
        memory = fold_memory(run or out / ".runs" / settings.model, settings, table.fingerprint)
        with StepProgress(quiet=quiet) as progress, resumable_folds(memory):
            beside = FoldFanOut(jobs=jobs, ray=ray) if settings.folds and (jobs > 1 or ray) else None
            trained = train_model(table, settings, progress, memory=memory, fan_out=beside)
            bundle = write_bundle(trained, out, progress)
        if quiet:
            typer.echo(bundle.folder)
        else:
            _print_summary(trained, bundle)


def _tables(
    bars: Path | None, timeframe: str | None, timeframes: str | None, bad_bars: str
) -> tuple["BarTable", ...]:
    """The bars of each timeframe asked for; all are read before anything is trained."""
    from candlewire_training.data.parquet import read_bars
    from candlewire_training.data.sample import sample_bars
    from candlewire_training.data.timeframes import parse_timeframes
    from candlewire_training.errors import SettingsError

    if timeframes is not None and (bars is None or timeframe is not None):
        raise SettingsError("timeframes chooses among those of --bars; leave out --sample and --timeframe")
    if bars is None:
        return (sample_bars(),)
    names = (timeframe,) if timeframes is None else parse_timeframes(timeframes)
    return tuple(read_bars(bars, timeframe=name, bad_bars=bad_bars) for name in names)


def _numbers(text: str | None, kind: type, option: str) -> tuple[Any, ...]:
    from candlewire_training.errors import SettingsError

    try:
        return tuple(kind(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise SettingsError(f"{option} {text!r}: give numbers with commas between them") from error


def _transferred(marker: dict[str, Any]) -> str:
    admitted = marker.get("transfer")
    return "" if admitted is None else ", from the pooled model" if admitted else ", alone"


def _pair_of(text: str | None, option: str) -> tuple[int, int] | None:
    from candlewire_training.errors import SettingsError

    numbers = _numbers(text, int, option)
    if text and len(numbers) != 2:
        raise SettingsError(f"{option} {text!r}: give two numbers with a comma between them")
    return (numbers[0], numbers[1]) if numbers else None


def _print_run(report: "RunReport", *, quiet: bool) -> None:
    for key, marker in sorted(report.done.items()):
        typer.echo(
            marker["bundle"]
            if quiet
            else f"{key}: {marker['rows']} rows, log loss {marker['log_loss']:.4f}, "
            f"gain {marker['gain']:+.4f}{_transferred(marker)}, {marker['bundle']}"
        )
    for key, reason in sorted(report.failed.items()):
        typer.echo(f"candlewire: {key} failed: {reason}", err=True)
    if not quiet:
        typer.echo(
            f"{len(report.done)} models written ({report.resumed} by an earlier run), {len(report.failed)} "
            f"failed, in {report.seconds:.0f} s"
        )


def _print_summary(trained: "TrainedModel", bundle: "Bundle") -> None:
    from rich.console import Console
    from rich.table import Table

    from candlewire_training.card.markdown import calibrator_text, estimate, leak_warning, verdict
    from candlewire_training.card.profile_facts import member_weights, profile_score

    evaluation, model = trained.evaluation, trained.model
    direction, band = evaluation.direction, evaluation.band
    parts = bundle.manifest["training"]["parts"]
    table = Table(title=f"{trained.settings.model} {bundle.version}", show_header=False, title_justify="left")
    for note in trained.bars.notes:
        table.add_row("bars", note)
    for name, part in parts.items():
        table.add_row(name, f"{part['rows']} rows, {part['first_decision']} to {part['last_decision']}")
    table.add_row(
        "log loss",
        f"{estimate(direction['model'].log_loss, 4)}; majority {estimate(direction['majority'].log_loss, 4)}",
    )
    table.add_row(
        "Brier",
        f"{estimate(direction['model'].brier, 4)}; majority {estimate(direction['majority'].brier, 4)}",
    )
    table.add_row("direction", verdict(evaluation))
    if (warning := leak_warning(trained)) is not None:
        table.add_row("LEAK?", warning)
    control = band["20-bar deviation"].winkler
    if (walk := trained.walk_forward) is not None:
        table.add_row(
            "walk forward",
            f"{len(walk.folds)} folds, gain over majority {estimate(walk.gain, 4)}, overfit gap "
            f"{walk.overfit_gap:+.3f}",
        )
        table.add_row("weights", member_weights(trained))
        table.add_row(
            "deflated Sharpe",
            f"probability {walk.sharpe.probability:.2f} of skill over {walk.trials} trials, before costs",
        )
        table.add_row("calibrator", calibrator_text(model.direction))
        if not walk.monotone:
            table.add_row("confidence", "accuracy does NOT rise with confidence out of fold")
    table.add_row(
        "band coverage",
        f"{estimate(band['model'].coverage)}, long-run target {model.band.target_coverage:.2f}",
    )
    table.add_row("band Winkler", f"{band['model'].winkler / control:.3f} of the 20-bar deviation band's")
    parity = bundle.parity
    table.add_row(
        "parity",
        f"{parity.rows} rows, largest difference {parity.largest_probability_difference:.1e}, no decision "
        "flips",
    )
    table.add_row(
        "graph",
        f"{bundle.timing.megabytes:.2f} MB, {bundle.timing.one_row_us:.0f} µs a row, "
        f"{bundle.timing.batch_64_us_per_row:.1f} µs a row in batches of 64",
    )
    table.add_row("profile", f"{trained.profile.profile}: {profile_score(trained.profile)}")
    table.add_row("deployed", "yes, as production" if bundle.deployed else "no: promote it to serve it")
    console = Console(soft_wrap=False)
    console.print(table)
    typer.echo(f"bundle: {bundle.folder}")


@data_app.command("sample")
def write_sample(
    out: Annotated[Path, typer.Option(help="Folder to write sample.parquet to.")],
    start: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="Only bars from this date on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="Only bars before this date.")
    ] = None,
    as_traded: Annotated[bool, typer.Option("--as-traded", help="Leave splits unadjusted.")] = False,
) -> None:
    """Write the sample bars as Parquet: five US stocks, daily, 2000 to 2013, adjusted for splits."""
    with one_line_errors():
        from candlewire_training.data.bars import parse_date
        from candlewire_training.data.parquet import write_bars
        from candlewire_training.data.sample import sample_bars

        first = parse_date(start, option="--from") if start else None
        end = parse_date(until, option="--until") if until else None
        table = sample_bars(adjusted=not as_traded).between(first, end)
        path = out / "sample.parquet"
        write_bars(table, path)
        for note in table.notes:
            typer.echo(note, err=True)
        typer.echo(f"{table.frame.height} bars of {', '.join(table.symbols)}: {path}")


__all__: list[Any] = ["register"]
