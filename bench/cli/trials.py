"""What `bench reproduce` does with tables whose rows are trainings: plan, train, ask, print."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from bench.cli.options import note, print_rows
from bench.cli.progress import Shown, duration
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.record import Record
    from bench.reproduction.ablation import Ablation
    from bench.reproduction.outlook import Stage
    from bench.reproduction.training import Budget
    from bench.reproduction.trial import Laboratory, Trial


@dataclass(frozen=True)
class Trials:
    """What was asked for: the tables, and how their rows are trained."""

    tables: "tuple[Ablation, ...]"
    budget: "Budget"
    seeds: int
    limit: int | None
    laboratory: "Laboratory"
    shipped: bool
    """Whether records that ship with the package count."""

    @property
    def plan(self) -> "tuple[Trial, ...]":
        """Every training and what its model is asked, each once."""
        from bench.reproduction.trial import merged

        return merged(
            one
            for each in self.tables
            for one in each.trials(self.budget, range(self.seeds), self.limit)
        )

    def records(self) -> "list[Record]":
        """What tables may rest on, later ones counting more."""
        from bench.reproduction.shipped import shipped_records
        from bench.store import Store

        own = Store(self.laboratory.place.results).records()
        return [*(shipped_records() if self.shipped else ()), *own]

    def left(self) -> "tuple[Trial, ...]":
        """What is not measured yet."""
        from bench.reproduction.trial import left

        return left(self.plan, self.records())

    # --- before ----------------------------------------------------------------------------------

    def foresee(self, to: Format) -> None:
        """Print what is to be trained and asked, what is done, and how long the rest takes."""
        from bench.reproduction.outlook import stages

        todo = self.left()
        print(f"{len(self.plan) - len(todo)} of {len(self.plan)} trials are done.")
        if not todo:
            return
        found = stages(todo, self.laboratory.models, self.records())
        paces = self._paces(found)
        rows: list[dict[str, object]] = []
        for stage in found:
            pace = stage.pace or paces.get(stage.recipe.name, 0.0)
            asked = [one.dataset for one in todo if one.training.is_of(stage.recipe)]
            rows.append(
                {
                    "training": stage.recipe.name,
                    "seed": stage.recipe.seed,
                    "steps": stage.recipe.steps,
                    "done": stage.done,
                    "a step": f"{pace:.2f} s",
                    "left": duration((stage.recipe.steps - stage.done) * pace),
                    "then asked about": "; ".join(asked),
                }
            )
        print_rows(rows, to)
        total = sum(
            (stage.recipe.steps - stage.done) * (stage.pace or paces.get(stage.recipe.name, 0.0))
            for stage in found
        )
        crew = self.laboratory.crew
        print(
            f"Training takes about {duration(total)} of one core, "
            f"{duration(total / crew)} with {crew} side by side."
        )

    def _paces(self, found: "Sequence[Stage]") -> dict[str, float]:
        """Seconds a step of the recipes that were never run, found out by a few steps of each."""
        from bench.reproduction.outlook import timed

        unknown = {
            stage.recipe.name: stage.recipe
            for stage in found
            if stage.pace is None and stage.done < stage.recipe.steps
        }
        return {name: timed(r, self.laboratory.place.data) for name, r in unknown.items()}

    # --- doing -----------------------------------------------------------------------------------

    def do(self, device: str, *, quiet: bool) -> int:
        """Do what is left, showing how far it is; how many trials failed."""
        from bench.execute import Failed
        from bench.executors import Inline, Processes, execute
        from bench.plan import Plan, Planned
        from bench.reproduction.trial import do_trial
        from bench.store import Store

        results, todo = self.laboratory.place.results, self.left()
        note(f"{len(todo)} of {len(self.plan)} trials are left; results in {results}", quiet=quiet)
        crew = min(self.laboratory.crew, len(todo))
        executor = Processes((device,) * crew) if crew > 1 else Inline(device)
        work = Plan(tuple(Planned(one) for one in todo))
        do = partial(do_trial, replace(self.laboratory, crew=max(1, crew)))
        failed = 0
        with Shown(quiet, results) as show:
            for event in execute(work, do, executor, Store(results)):
                show.event(event)
                failed += isinstance(event, Failed)
        return failed

    # --- after -----------------------------------------------------------------------------------

    def show(self, to: Format, *, quiet: bool) -> "dict[str, Record]":
        """Print the tables; the records that they rest on."""
        from bench.reproduction.ablation import measured
        from bench.reproduction.report import findings_table, remarks, scores_table

        records, used = self.records(), {}
        for each in self.tables:
            found = measured(each, records, self.budget, range(self.seeds), self.limit)
            used.update({record.key: record for record in found.records})
            made = [table for table in (scores_table(found), findings_table(found)) if table]
            notes = tuple(remarks(found, self.budget, self.seeds))
            made[-1] = replace(made[-1], notes=notes)
            for table in made:
                table.show(to)
                print()  # or Markdown takes the next one for its last row
        if todo := self.left():
            names = ", ".join(one.training.title for one in todo)
            note(
                f"Not measured yet: {names}. The same command with --dry-run says what that "
                "takes, with --run does it.",
                quiet=quiet,
            )
        return used
