"""Words, dates and reasons in the languages of those who read a bill; the warehouse itself is in English.

``de.po``, ``fr.po`` and ``it.po`` are catalogues of gettext, read as they are: nothing has to be compiled.
"""

from typing import Literal

Language = Literal["de", "fr", "it", "en"]
LANGUAGES: tuple[Language, ...] = ("de", "fr", "it", "en")
