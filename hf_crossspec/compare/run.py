"""The comparison from end to end: search every method alike, then train it with every seed and test it once.

OUTPUT/folds/      the folds of the training subjects
OUTPUT/runs/       a folder per training run, with what it would ship
OUTPUT/results/    a JSON file per finished run; a resumed comparison does not repeat these
OUTPUT/compare.json, compare.md, pareto.png   made anew after every final run
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers

from hf_crossspec.compare.config import CompareArguments
from hf_crossspec.compare.measure import Retention, embed, peak_resident_bytes, resident_bytes, target_report
from hf_crossspec.compare.methods import ADAPTER_FILE, METHODS, TRAINED_FILE, UNADAPTED
from hf_crossspec.compare.plot import plot_pareto
from hf_crossspec.compare.search import CRITERION, Setting, choose, settings, write_folds
from hf_crossspec.compare.table import markdown, summarise
from hf_crossspec.data.pixels import FaceSet, refuse_shared_subjects
from hf_crossspec.data.schema import load_faces
from hf_crossspec.embedding import load_base, weights_fingerprint
from hf_crossspec.errors import InputError
from hf_crossspec.evaluation.runner import hashed_subjects, quick_metrics, versions
from hf_crossspec.files import read_json, replacing_file, write_json
from hf_crossspec.methods.selective_tuning.config import SelectiveTuningArguments
from hf_crossspec.methods.selective_tuning.scopes import trainable_parameters
from hf_crossspec.methods.selective_tuning.train import SelectiveTuning
from hf_crossspec.training.loop import make_accelerator, run_task
from hf_crossspec.training.run_folder import RunFolder

Report = dict[str, Any]


def compare(args: CompareArguments, say: Callable[[str], None] = print) -> Report:
    """Compare ways to adapt a saved EdgeFace to another modality, with one loop, one loss and one search budget.

    Returns:
        What compare.json holds: `protocol`, `reference` (the unadapted network), `search` (every setting of every
        method), `chosen`, `runs` (every final run with counts and intervals), `summary` (the table's rows).

    Raises:
        InputError: unusable arguments, data or folder, shared subjects, or an `output_dir` of another comparison.
    """
    return Comparison(args, say).run()


class Comparison:
    """Checks everything that can be checked, then claims the folder."""

    def __init__(self, args: CompareArguments, say: Callable[[str], None]) -> None:
        args.check()
        self.args, self.say, self.folder = args, say, Path(args.output_dir)
        base, self.processor = load_base(args.base)
        self.train_faces = load_faces(args.data, args.split)
        self.test_faces = load_faces(args.data, args.test_split)
        self.retention = Retention.load(
            args.retention_data, args.retention_split, args.retention_pairs, args.selection, self.processor
        )
        self._refuse_shared_subjects()
        identity = args.lasting() | {"base_sha256": weights_fingerprint(base), "criterion": CRITERION}
        run_folder = RunFolder(self.folder)
        run_folder.check(identity, args.resume)
        run_folder.claim(identity)
        self.folds = write_folds(self.train_faces, self.folder / "folds", args.search_folds)
        self.held_out = [self._decode(load_faces(path)) for _, path in self.folds]

    def _refuse_shared_subjects(self) -> None:
        trained, tested = sorted(set(self.train_faces["subject_id"])), set(self.test_faces["subject_id"])
        refuse_shared_subjects(sorted(tested), trained)
        refuse_shared_subjects(sorted(self.retention.subjects("all")), trained)
        shared = sorted(tested & self.retention.subjects("selection"))
        if shared:
            raise InputError(
                f"{len(shared)} test subjects are in the selection folds of the retention pairs (the first is "
                f"{shared[0]}): settings must not be chosen by them"
            )

    def run(self) -> Report:
        """Search, choose, train finally, test; what is finished already is only read."""
        reference = self._once("reference", self._reference)
        search = {method: self._search(method) for method in self.args.method_names}
        chosen = {
            method: choose(rows, reference["selection_accuracy"]) | {"search_runs": len(rows) * len(self.folds)}
            for method, rows in search.items()
        }
        for method, row in chosen.items():
            self.say(f"{method}: {Setting(row['rate'], row['weight'])} chosen")
        finals: list[Report] = [self._once("final-unadapted", self._test_unadapted)]
        report = self._report(reference, search, chosen, finals)
        for seed in self.args.seed_numbers:
            for method in self.args.method_names:
                setting = Setting(chosen[method]["rate"], chosen[method]["weight"])
                finals.append(self._final(method, setting, seed))
                report = self._report(reference, search, chosen, finals)
        return report

    def _once(self, name: str, compute: Callable[[], Report]) -> Report:
        path = self.folder / "results" / f"{name}.json"
        if not path.exists():
            write_json(path, compute())
        result: Report = read_json(path)
        return result

    def _reference(self) -> Report:
        network = self._base()
        folds = [self._held_out_values(network, faces) for faces in self.held_out]
        return {"selection_accuracy": self.retention.selection_accuracy(network, self.processor), "folds": folds}

    def _search(self, method: str) -> list[Report]:
        rows = []
        for setting in settings(method, self.args.weights):
            runs = [
                self._once(
                    _name("search", method, setting, f"fold{fold}"),
                    lambda setting=setting, fold=fold: self._search_run(method, setting, fold),  # type: ignore[misc]
                )
                for fold in range(len(self.folds))
            ]
            row: Report = {"method": method, "rate": setting.rate, "weight": setting.weight, "folds": runs}
            if any(run.get("diverged") for run in runs):
                row["diverged"] = True
            else:
                row |= {name: sum(run[name] for run in runs) / len(runs) for name in ("eer", "rank_1", "retention")}
            rows.append(row)
        return rows

    def _search_run(self, method: str, setting: Setting, fold: int) -> Report:
        train, _ = self.folds[fold]
        args = self._training_arguments(str(train), None, setting, 0, _name("search", method, setting, f"fold{fold}"))
        facts = {"method": method, "rate": setting.rate, "weight": setting.weight, "fold": fold, "seed": 0}
        try:
            trained = train_method(method, args)
        except InputError as error:
            if "not finite" not in str(error):
                raise
            self.say(f"{method}, {setting}, fold {fold}: diverged")
            return facts | {"diverged": True}
        network = METHODS[method].load(self._base(), Path(args.output_dir))
        values = self._held_out_values(network, self.held_out[fold])
        values["retention"] = self.retention.selection_accuracy(network, self.processor)
        shown = ", ".join(f"{name} {100 * value:.2f}" for name, value in values.items())
        self.say(f"{method}, {setting}, fold {fold}: {shown} ({trained['seconds']:.0f} s)")
        held_out = hashed_subjects(self.held_out[fold].subjects)
        return facts | values | {"held_out_subjects": held_out} | trained

    def _held_out_values(self, network: Any, faces: FaceSet) -> dict[str, float]:
        embeddings = embed(network, self.processor, faces.pixels)
        metrics = quick_metrics(embeddings, faces.subjects, faces.modalities, *self._modalities())
        return {name: metrics[name] for name in ("eer", "rank_1")}

    def _final(self, method: str, setting: Setting, seed: int) -> Report:
        def compute() -> Report:
            args = self._training_arguments(
                self.args.data, self.args.split, setting, seed, _name("final", method, setting, f"seed{seed}")
            )
            trained = in_fresh_process(train_method, method, args)
            network = METHODS[method].load(self._base(), Path(args.output_dir))
            facts = {"method": method, "rate": setting.rate, "weight": setting.weight, "seed": seed}
            self.say(f"{method}, {setting}, seed {seed}: trained in {trained['seconds']:.0f} s")
            return facts | trained | self._test(network)

        return self._once(_name("final", method, setting, f"seed{seed}"), compute)

    def _test_unadapted(self) -> Report:
        nothing = {"trainable_parameters": 0, "shipped_bytes": 0, "seconds": 0.0, "peak_resident_bytes": None}
        return {"method": UNADAPTED, "seed": None, **nothing, **self._test(self._base())}

    def _test(self, network: Any) -> Report:
        """The only place where pictures of the test split are decoded."""
        faces = self._decode(self.test_faces)
        target = target_report(network, self.processor, faces, *self._modalities())
        retention = self.retention.reports(network, self.processor)
        reports = {"target": target, **{f"retention {folds}": report for folds, report in retention.items()}}
        return {name: {key: report[key] for key in ("metrics", "counts")} for name, report in reports.items()}

    def _report(
        self, reference: Report, search: dict[str, list[Report]], chosen: dict[str, Report], finals: list[Report]
    ) -> Report:
        protocol = self.args.lasting() | {
            "criterion": CRITERION,
            "search_runs_per_method": len(next(iter(search.values()))) * len(self.folds),
            "train_subjects": len(set(self.train_faces["subject_id"])),
            "test_subjects": len(set(self.test_faces["subject_id"])),
            "threads": torch.get_num_threads(),
        }
        summary = summarise(finals)
        report = {
            "protocol": protocol, "versions": versions(), "reference": reference, "search": search,
            "chosen": chosen, "runs": finals, "summary": summary,
        }  # fmt: skip
        write_json(self.folder / "compare.json", report)
        with replacing_file(self.folder / "compare.md") as temporary:
            temporary.write_text(markdown(report), encoding="utf-8")
        plot_pareto(summary, self.folder / "pareto.png", self.args.target_modality, self.args.source_modality)
        return report

    def _training_arguments(
        self, data: str, split: str | None, setting: Setting, seed: int, name: str
    ) -> SelectiveTuningArguments:
        return SelectiveTuningArguments(
            base=self.args.base, data=data, split=split or "train", source_modality=self.args.source_modality,
            target_modality=self.args.target_modality, output_dir=str(self.folder / "runs" / name),
            epochs=self.args.epochs, batch_size=self.args.batch_size, learning_rate=setting.rate,
            distill_weight=setting.weight, seed=seed, resume=True,
        )  # fmt: skip

    def _modalities(self) -> tuple[str, str]:
        return self.args.source_modality, self.args.target_modality

    def _base(self) -> Any:
        return load_base(self.args.base)[0]

    def _decode(self, faces: Any) -> FaceSet:
        return FaceSet.decode(faces, self.processor)


def train_method(method: str, args: SelectiveTuningArguments) -> Report:
    """One training run of a method in the loop that `crossspec train` uses.

    Returns:
        `trainable_parameters`, `shipped_bytes` (the one file that another user of the base needs), `steps`, `seconds`
        of training, `peak_resident_bytes` of the process and `resident_bytes_before` the first step, and
        `trained_subjects` as hashes.
    """
    accelerator = make_accelerator(args)
    task = SelectiveTuning.prepare(args, accelerator, METHODS[method].adapt)
    before = resident_bytes()
    facts = {"trained_subjects": hashed_subjects(task.subjects)}
    result = run_task(task, args, accelerator, task.fingerprints() | {"method": method}, facts)
    folder = Path(args.output_dir)
    (folder / "checkpoint.pt").unlink(missing_ok=True)  # optimiser state of a finished run
    shipped = next(folder / name for name in (ADAPTER_FILE, TRAINED_FILE) if (folder / name).exists())
    # Where the run was interrupted, the time of the steps since stands for all of them.
    whole = result["steps"] / result["steps_run"] if result["steps_run"] else 1.0
    return {
        "trainable_parameters": trainable_parameters(task.model),
        "shipped_bytes": shipped.stat().st_size,
        "steps": result["steps"],
        "seconds": result["seconds"] * whole,
        "resident_bytes_before": before,
        "peak_resident_bytes": peak_resident_bytes(),
        **facts,
    }


def in_fresh_process(function: Callable[..., Report], *arguments: Any) -> Report:
    """Call in a new process of its own, so that its peak memory is this call's."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_hide_progress_of_libraries) as pool:
        return pool.submit(function, *arguments).result()


def _hide_progress_of_libraries() -> None:
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()


def _name(stage: str, method: str, setting: Setting, part: str) -> str:
    return f"{stage}-{method}-rate{setting.rate:g}-weight{setting.weight:g}-{part}"
