"""``tsm-edge demo --serve``: a live page for boards without a screen. Needs the extra ``serve`` (tornado).

``address.py`` says where and for whom, ``latest.py`` hands pictures from the demo's loop to any number of viewers,
``turns.py`` keeps them from holding up the model, ``pictures.py`` says what a viewer gets, ``base.py`` lets requests in
and ``handlers.py`` answers them, ``server.py`` runs it all on a thread; ``page.html`` is the page.
"""

from __future__ import annotations
