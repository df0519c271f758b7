"""Fetching the one data set that may be fetched directly."""

import shutil
import tarfile
import tempfile
from pathlib import Path

import pooch

from wsol.errors import InputError
from wsol.files import exists

CUB_URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
CUB_MD5 = "97eceeb196236b17998738112f37df78"


def download_cub(root: Path, url: str = CUB_URL, md5: str = CUB_MD5) -> Path:
    """Fetch, verify and unpack CUB-200-2011 below `root`.

    Returns:
        The folder CUB_200_2011; at once, if it is there already.

    Raises:
        InputError: when the network, the checksum or the archive fails; nothing is left half
            unpacked.
    """
    folder = Path(root) / "CUB_200_2011"
    if exists(folder / "images.txt"):
        return folder
    try:
        archive = Path(
            pooch.retrieve(
                url, known_hash=f"md5:{md5}", fname="CUB_200_2011.tgz", path=root, progressbar=False
            )
        )
    except ValueError as error:
        raise InputError(f"{url}: the file fetched is not the original ({error}).") from error
    except Exception as error:
        # requests, urllib3 and ftplib have no base class in common.
        raise InputError(
            f"{url}: cannot be fetched ({error}). Fetch CUB_200_2011.tgz by other means and put it "
            f"at {Path(root) / 'CUB_200_2011.tgz'}."
        ) from error
    unpacking = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=root))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(unpacking, filter="data")
        (unpacking / "CUB_200_2011").replace(folder)
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{archive}: cannot be unpacked ({error}).") from error
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)
    return folder
