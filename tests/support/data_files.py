"""Small files of data sets."""

from PIL import Image


def picture(path, size=(60, 40), mode="RGB", **options):
    """An image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 100).save(path, **options)


def lines(path, *rows):
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))
