"""Where and with what a record was made."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import wsol
from wsol.datasets.base import Dataset, Packed, Sample
from wsol.records.record import Environment

_PACKAGES = ("torch", "torchvision", "numpy", "numba", "pycocotools", "scikit-image", "pillow")


def environment(device: str) -> Environment:
    """Versions, machine, device, commit and date of the running process."""
    versions = {"wsol": wsol.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    if device.startswith("cuda"):
        device = f"{device} ({torch.cuda.get_device_name(torch.device(device))})"
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}, {os.cpu_count()} logical cores",
        device=device,
        threads=torch.get_num_threads(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=_commit(),
        versions=versions,
    )


def _commit() -> str | None:
    """The commit of the checkout that wsol runs from, `+` behind it when files differ from it."""
    checkout = Path(wsol.__file__).parent.parent
    if not (checkout / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(checkout), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "wsol")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def fingerprint(*parts: Any) -> str:
    """A short digest of JSON-like values: equal settings, equal text."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def dataset_fingerprint(dataset: Dataset) -> str:
    """A short digest of what a data set annotates: ids, labels, sizes, boxes and mask files."""
    digest = hashlib.sha256(f"{dataset.name}/{dataset.split}/{dataset.classes}".encode())
    for sample in dataset.samples:
        masks = [path.name for path in sample.mask.objects] if sample.mask else []
        digest.update(f"{sample.image_id}\0{sample.label}{sample.size}{masks}".encode())
        digest.update(sample.boxes.tobytes())
    return digest.hexdigest()[:16]


def files_fingerprint(files: Iterable[tuple[str, Path]]) -> str:
    """A short digest of files by name, size and time of the last change; no file is opened.

    Equal for the same files in a folder that was moved; not so when one was written anew.
    """
    digest = hashlib.sha256()
    for name, path in files:
        try:
            status = path.stat()
            told = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            told = "missing"
        digest.update(f"{name}\0{told}\n".encode())
    return digest.hexdigest()[:16]


def sample_files(dataset: Dataset) -> Iterator[tuple[str, Path]]:
    """Every photograph and mask of a data set, by the image's id."""
    for sample in dataset.samples:
        yield from photograph_file(sample)
        yield from mask_files(sample)


def photograph_file(sample: Sample) -> Iterator[tuple[str, Path]]:
    """An image's photograph, if it has one, by the image's id; of one in a shard, the shard."""
    if isinstance(sample.path, Packed):
        yield f"{sample.image_id} {sample.path.place}", sample.path.shard
    elif sample.path is not None:
        yield sample.image_id, sample.path


def mask_files(sample: Sample) -> Iterator[tuple[str, Path]]:
    """Every mask of an image, by the image's id and the mask's own name."""
    if sample.mask is not None:
        ignore = () if sample.mask.ignore is None else (sample.mask.ignore,)
        for path in (*sample.mask.objects, *ignore):
            yield f"{sample.image_id}/{path.name}", path


def weights_fingerprint(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 over the names and values of tensors, shortened: equal weights, equal text."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(name.encode())
        values = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
