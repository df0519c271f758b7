"""Photographs through a network, and its maps through the threads that find boxes."""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from wsol.datasets.reading_order import in_turns, is_packed, reading_order
from wsol.errors import InputError, within_memory
from wsol.evaluation.conventions import View
from wsol.evaluation.evaluator import Evaluator
from wsol.evaluation.judging import Classification, Outcome, judge, prepare, size_of
from wsol.evaluation.lifecycle import Judged, Seconds
from wsol.evaluation.options import EvaluationOptions
from wsol.evaluation.photographs import Batch, Photographs, collate, own
from wsol.evaluation.rows import judged_by, outcome_row
from wsol.evaluation.settings import input_size, localizer, with_coco
from wsol.evaluation.shares import Share
from wsol.maps.files import save_score_map
from wsol.maps.framing import maps_on_grid
from wsol.maps.methods.view import View as MethodView
from wsol.models.classifier import Classifier, match_classes
from wsol.models.device import usable_device
from wsol.models.fast import sped_up
from wsol.models.precision import autocast
from wsol.pipeline import Pipeline, begin_worker, loader_processes, usable_cores
from wsol.records.record import SkippedImage

_PREDICTED = 5


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one convention and method need of the network.

    Attributes:
        frame: the view that its maps lie on; `view`: what is classified.
        method: what makes the maps.
        coco: whether COCO AP/AR is measured.
    """

    evaluator: Evaluator
    frame: View
    view: View
    method: str
    coco: bool

    @property
    def source(self) -> tuple[View, str]:
        """What tells its maps from those of other plans."""
        return self.frame, self.method


class NetworkJudging:
    """Images through the network, their maps through the threads that find boxes.

    While the network works on one batch, loader processes decode the next and threads compare
    the previous one's maps; on a GPU the copy of a batch's maps overlaps the next batch's pass.
    """

    def __init__(
        self,
        classifier: Classifier,
        evaluators: Sequence[Evaluator],
        each: Sequence[EvaluationOptions],
    ) -> None:
        """
        Args:
            evaluators: of one data set, a convention and method each; a photograph goes through the
                network once a distinct view, however many conventions and methods look at it.
            each: the options of each, which differ in nothing else; the methods' localizers have
                one `view_key`.
        """
        options = each[0]
        dataset = evaluators[0].dataset
        without = next((s.image_id for s in dataset.samples if s.path is None), None)
        if without is not None:
            raise InputError(
                f"{dataset.name}: {classifier.name} needs pixels, but the data set was opened "
                f"without images (first: {without}); name the image folder with --images."
            )
        self._dataset = dataset
        self._options = options
        device = usable_device(options.device)
        self._device = torch.device(device)
        self._workers = loader_processes(options.workers, device)
        self._threads = options.threads or usable_cores()
        self._network = classifier.to(self._device)
        self._size = input_size(classifier, options)
        # A user's own method looks at the network itself.
        if localizer(classifier, options).method.needs != "network":
            layers = [] if options.layer is None else options.layer.split(",")
            self._network = sped_up(classifier, self._size, [name.strip() for name in layers])
        self._localizers = {own.map_method: localizer(self._network, own) for own in each}
        if len({own.view_key for own in self._localizers.values()}) > 1:
            raise ValueError(f"{', '.join(self._localizers)}: cannot share a view")
        self._plans = [
            _Plan(
                evaluator,
                frame=evaluator.protocol.frame_view,
                view=evaluator.protocol.view_for(dataset.name),
                method=own.map_method,
                coco=with_coco(own),
            )
            for evaluator, own in zip(evaluators, each, strict=True)
        ]
        self._subset = match_classes(
            classifier.classes,
            dataset.classes,
            classifier.num_classes,
            {sample.label for sample in dataset.samples},
        )
        self._predicted = min(_PREDICTED, int((self._subset >= 0).sum()))
        self.seconds = Seconds()

    def judged(self, share: Share) -> Iterator[Judged]:
        """Each image's outcomes; see `wsol.evaluation.lifecycle.Judging`.

        All batches have one size, because with another one a network's outputs differ in their
        last digits. What fills one up is judged by whoever has it as its own, or by nobody.
        """
        options, dataset = self._options, self._dataset
        size = min(options.batch_size, len(dataset))
        order = reading_order(dataset.samples)
        ordered = Share(share.done[order], share.processes)
        shared = [order[batch].tolist() for batch in ordered.batches(size)]
        if is_packed(dataset.samples):
            shared = in_turns(shared, self._workers)
        views = sorted({view for plan in self._plans for view in (plan.frame, plan.view)})
        loader = DataLoader(
            Photographs(dataset, self._network.preprocessing, self._size, views, options),
            batch_sampler=shared,
            num_workers=min(self._workers, size * len(shared)),
            collate_fn=partial(collate, size=size),
            pin_memory=self._device.type == "cuda",
            persistent_workers=False,
            worker_init_fn=begin_worker,
            generator=torch.Generator(),  # else it draws from the caller's random numbers
        )
        batches = map(own, loader, (share.done[batch] for batch in shared))
        with Pipeline[Judged](self._threads, 2 * options.batch_size) as pipeline:
            waiting: _MapsOnTheWay | None = None
            while True:
                start = time.perf_counter()
                batch = next(batches, None)
                self.seconds.data += time.perf_counter() - start
                arriving = None
                if batch is not None:
                    for bad in batch.bad:
                        if not (options.skip_bad_images or bad.may_skip):
                            raise InputError(bad.reason)
                        yield SkippedImage(image_id=bad.sample.image_id, reason=bad.reason)
                    if batch.samples:
                        start = time.perf_counter()
                        arriving = self._within_memory(batch)
                        self.seconds.forward += time.perf_counter() - start
                if waiting is not None:
                    start = time.perf_counter()
                    waiting.wait()
                    self.seconds.forward += time.perf_counter() - start
                    for index in waiting.batch.own:
                        yield from pipeline.submit(_job(self, waiting, index))
                waiting = arriving
                if batch is None:
                    break
            yield from pipeline.drain()
            self.seconds.localization = pipeline.busy

    def _within_memory(self, batch: Batch) -> "_MapsOnTheWay":
        count = len(batch.samples)
        lower = "--batch-size" if count > 1 else "--size"
        with within_memory(
            f"{self._network.name}: memory on {self._device} is exhausted by the maps of "
            f"{count} {'images' if count > 1 else 'image'} of {self._size} pixels at once; "
            f"lower {lower}."
        ):
            return self._forward(batch)

    def _forward(self, batch: Batch) -> "_MapsOnTheWay":
        """Run the network on every view and start bringing its maps to the host."""
        device, options = self._device, self._options
        own_labels = torch.tensor([sample.label for sample in batch.samples])
        labels = own_labels.to(device)
        found: dict[Hashable, Tensor] = {}
        with torch.inference_mode():
            frames = {
                view: self._see(batch.pixels[view])
                for view in dict.fromkeys(plan.frame for plan in self._plans)
            }
            for view in dict.fromkeys(plan.view for plan in self._plans):
                logits, probabilities = self._classified(batch.pixels[view], frames.get(view))
                own = logits.gather(1, labels[:, None])
                ties_before = (logits == own) & (
                    torch.arange(logits.shape[1], device=device) < labels[:, None]
                )
                found["rank", view] = ((logits > own) | ties_before).sum(1)
                best = logits.topk(self._predicted, dim=1)
                found["classes", view] = best.indices
                found["scores", view] = probabilities.gather(1, best.indices)
            maps = {
                plan.source: self._own_maps(plan.method, frames[plan.frame], own_labels)
                for plan in {plan.source: plan for plan in self._plans}.values()
            }
            for source, cams in maps.items():
                found["finite", source] = torch.isfinite(cams).flatten(1).all(1)
            for number, plan in enumerate(self._plans):
                cams, protocol = maps[plan.source], plan.evaluator.protocol
                if plan.evaluator.box_judge is None:
                    upsampling = protocol.rules.upsampling
                    place = (self._size, options.resize_mode, protocol.map_grid, upsampling)
                    found["maps", number] = maps_on_grid(cams, batch.sizes, *place)[:, 0]
                else:  # which brings maps to its own grid
                    found["cams", plan.source] = cams[:, 0]
        return _MapsOnTheWay(batch, found, device)

    def _own_maps(self, method: str, seen: MethodView, labels: Tensor) -> Tensor:
        """(B, 1, h, w) each image's map: of its label, or the mean of those of its best classes.

        Args:
            labels: (B,) on the CPU.
        """
        maps, count = self._localizers[method].maps, self._options.mean_classes
        if count is None:
            return maps(seen, self._subset[labels][:, None])
        known = min(count, int((self._subset >= 0).sum()))
        best = self._own_logits(seen.logits).topk(known, dim=1).indices
        classes = self._subset.to(best.device)[best]
        return maps(seen, classes).mean(1, keepdim=True)

    def _classified(self, pixels: Tensor, seen: MethodView | None) -> tuple[Tensor, Tensor]:
        """What ranks the data set's classes, and their probabilities, (B, C) both.

        Args:
            pixels: (B, 3, H, W) of one view, or (B, 10, 3, H, W) of ten crops, whose mean softmax
                is taken.
            seen: one view that the network has seen already.
        """
        if pixels.ndim == 5:
            crops = [self._own_logits(self._see(crop).logits) for crop in pixels.unbind(1)]
            mean = torch.stack([logits.softmax(1) for logits in crops]).mean(0)
            return mean, mean
        logits = self._own_logits((seen or self._see(pixels)).logits)
        return logits, logits.softmax(1)

    def _see(self, pixels: Tensor) -> MethodView:
        images = self._network.normalize(pixels.to(self._device, non_blocking=True))
        with autocast(self._device, self._options.precision):
            return next(iter(self._localizers.values())).see(images)

    def _own_logits(self, logits: Tensor) -> Tensor:
        """Those of the data set's classes; a class that the network has not is never predicted."""
        padded = functional.pad(logits.float(), (0, 1), value=-torch.inf)
        return padded[:, self._subset.to(padded.device)]

    def judge(self, arrived: "_MapsOnTheWay", index: int) -> Judged:
        """The outcomes of one image of a batch; runs on a worker thread."""
        findings = arrived.batch.findings[index]

        def outcome(number: int) -> Outcome | SkippedImage:
            sample, plan = arrived.batch.samples[index], self._plans[number]
            if arrived.arrays["finite", plan.source][index]:
                return replace(self._judged(number, arrived, index), findings=findings)
            reason = f"{sample.path}: {self._localizers[plan.method].not_finite}"
            if not self._options.skip_bad_images:
                raise InputError(reason)
            return SkippedImage(image_id=sample.image_id, reason=reason)

        return tuple(outcome(number) for number in range(len(self._plans)))

    def _judged(self, number: int, arrived: "_MapsOnTheWay", index: int) -> Outcome:
        """The outcome of one image under the convention of that number."""
        plan, arrays, options = self._plans[number], arrived.arrays, self._options
        sample, size = arrived.batch.samples[index], arrived.batch.sizes[index]
        rank, classes, scores = (
            arrays[name, plan.view][index] for name in ("rank", "classes", "scores")
        )
        answer = Classification(int(rank), classes, scores.astype(np.float64), None)
        judging, protocol = plan.evaluator.box_judge, plan.evaluator.protocol
        if judging is not None:
            known = size_of(sample, size)
            cams, rows = arrays["cams", plan.source][index], options.per_image
            found = judging.prepare(cams, known, with_row=rows)
            if options.save_scoremaps is not None:
                kept = found.saved_map(cams, judging.convention)
                save_score_map(options.save_scoremaps, sample.image_id, kept)
            return judged_by(judging, found, sample, known, answer, self._dataset if rows else None)
        score_map = arrays["maps", number][index]
        if options.save_scoremaps is not None:
            save_score_map(options.save_scoremaps, sample.image_id, score_map)
        prepared = prepare(score_map, protocol)
        outcome = judge(prepared, sample, protocol, size=size)
        if plan.coco and len(sample.boxes):
            # The box of another class than the image's is wrong wherever it lies.
            own_box = np.where(classes[:, None] == sample.label, outcome.fixed_box, 0.0)
            answer = replace(answer, boxes=own_box)
        outcome = replace(outcome, classification=answer)
        if not options.per_image:
            return outcome
        return replace(outcome, row=outcome_row(prepared, outcome, sample, self._dataset, protocol))


def _job(run: NetworkJudging, arrived: "_MapsOnTheWay", index: int) -> Callable[[], Judged]:
    return lambda: run.judge(arrived, index)


class _MapsOnTheWay:
    """Tensors of one batch that are being copied to the host."""

    def __init__(
        self, batch: Batch, tensors: Mapping[Hashable, Tensor], device: torch.device
    ) -> None:
        self.batch = batch
        self._host = {name: tensor.to("cpu", non_blocking=True) for name, tensor in tensors.items()}
        self._event = torch.cuda.Event() if device.type == "cuda" else None
        if self._event is not None:
            self._event.record()
        self.arrays: dict[Hashable, NDArray[Any]] = {}

    def wait(self) -> None:
        """Wait for the copies; afterwards `arrays` holds them."""
        if self._event is not None:
            self._event.synchronize()
        self.arrays = {name: tensor.numpy() for name, tensor in self._host.items()}
