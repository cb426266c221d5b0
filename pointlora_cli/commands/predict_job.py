"""One call of `pointlora predict`: predictions that are shown when all are there, or saved as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pointlora_cli.commands.predict_result import MOST_ERRORS, show_classes, show_parts, show_tally
from pointlora_cli.console.predict_progress import PredictProgress
from pointlora_cli.console.screen import Screen
from pointlora_cli.services.predict import Classified, ClassPredictor
from pointlora_cli.services.predict_inputs import find_clouds
from pointlora_cli.services.predict_parquet import ParquetTable
from pointlora_cli.services.predict_parts import Labelled, PartPredictor
from pointlora_cli.services.predict_places import PartPlaces
from pointlora_cli.services.predict_results import ResultsFile
from pointlora_cli.services.predict_saved import interruption, predict_and_save
from pointlora_cli.services.predict_stream import predictions
from pointlora_cli.services.predictor import Predictor, Prepared, Unreadable
from pointlora_cli.services.selection import SelectionViews
from pointlora_cli.services.trained_model import TrainedModel

Prediction = TypeVar("Prediction", Classified, Labelled)


@dataclass(frozen=True)
class PredictJob:
    """What both tasks have in common."""

    screen: Screen
    trained: TrainedModel
    named: Sequence[Path]  # files, folders and patterns
    paths: Sequence[Path]  # the files that they stand for
    save: Path | None  # where each prediction is recorded
    table: ParquetTable | None  # and what is made of them
    retry: bool  # files that could not be read
    base: Path | None
    workers: int | None

    def classify(self, top: int, selection: Path | None) -> None:
        """Say which class each cloud is of, and write what the selection keeps into a folder."""
        predictor = ClassPredictor(self.trained)
        if self.save is not None:
            with ResultsFile(self.save) as results:
                self._save(predictor, results, self.paths)
            return
        views = SelectionViews(self.trained, selection) if selection is not None else None

        def view(prediction: Classified) -> None:
            if views is not None:
                views.write(prediction.path)

        is_there = selection is not None and selection.is_dir()
        paths = find_clouds(self.named, output=selection) if is_there else self.paths
        found = self._collect(predictor, paths, view)
        if selection is not None:
            self.screen.note(f"what the selection keeps of each cloud is in {selection}")
        show_classes(self.screen, self.trained, found, top)

    def label(self, folder: Path, category: str | None, *, each_point: bool) -> None:
        """Label the points of each cloud, and write a PLY of each into a folder."""
        places = PartPlaces(folder, saved=self.save)
        predictor = PartPredictor(self.trained, places, category=category, each_point=each_point)
        paths = find_clouds(self.named, output=folder) if folder.is_dir() else self.paths
        if self.save is None:
            with places.opened():
                found = self._collect(predictor, paths, lambda _: None)
            show_parts(self.screen, self.trained, found, predictor.parts)
            return
        with ResultsFile(self.save) as results:
            places.recall(results.written)
            named = set(self.named)
            paths = [path for path in paths if path in named or not places.holds(path)]
            with places.opened():
                self._save(predictor, results, paths)

    def _collect(
        self,
        predictor: Predictor[Prepared, Prediction],
        paths: Sequence[Path],
        take: Callable[[Prediction], None],
    ) -> list[Prediction | Unreadable]:
        found = []
        stream = predictions(predictor, paths, base=self.base, workers=self.workers)
        try:
            with closing(stream), PredictProgress(self.screen, len(paths)) as progress:
                for prediction in stream:
                    if not isinstance(prediction, Unreadable):
                        take(prediction)
                    found.append(prediction)
                    progress.count(unreadable=isinstance(prediction, Unreadable))
        except KeyboardInterrupt as error:
            if len(paths) == 1:
                raise
            done = f"{len(found):,} of {len(paths):,} files were predicted, and are not recorded"
            raise interruption(
                error, done, "--save FILE records each, and goes on where it was stopped."
            ) from error
        return found

    def _save(
        self,
        predictor: Predictor[Prepared, Prediction],
        results: ResultsFile,
        paths: Sequence[Path],
    ) -> None:
        if self.retry:
            results.require(predictor.settings)
            results.forget_unreadable()
        earlier, left = len(results.answers(paths)), len(results.missing(paths))
        if earlier:
            self.screen.note(f"{results.path} holds {earlier:,} of {earlier + left:,} files already")
        told = 0
        with PredictProgress(self.screen, left) as progress:

            def listen(prediction: Prediction | Unreadable) -> None:
                nonlocal told
                is_broken = isinstance(prediction, Unreadable)
                progress.count(unreadable=is_broken)
                told += is_broken
                if isinstance(prediction, Unreadable) and told <= MOST_ERRORS:
                    self.screen.note(f"left out: {prediction.error.message}")

            tally = predict_and_save(
                predictor, paths, results, base=self.base, workers=self.workers, listen=listen
            )
        if told > MOST_ERRORS:
            self.screen.note(f"{told - MOST_ERRORS:,} more of this kind; {results.path} has them all")
        if self.table is not None:
            self.table.write(results.rows(), self.trained.record, predictor.settings)
        show_tally(self.screen, self.trained, self.table.path if self.table else results.path, tally)
