"""The documentation's build: Sphinx, MyST and Furo."""

from importlib.metadata import version as installed

project = "wsol"
version = release = installed("wsol")
copyright = "the wsol developers"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = "wsol"
exclude_patterns = ["_build"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
# `bash real-data`: commands that need data; they are shown as any others.
suppress_warnings = ["misc.highlighting_failure"]
