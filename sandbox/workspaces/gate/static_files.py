"""The Jupyter front end as the gate gives it out: from the sandbox environment on its own disk, never from a jail."""

from __future__ import annotations

from pathlib import Path


class StaticFiles:
    """The files of one sandbox environment; its places are looked up once."""

    def __init__(self, environment: Path | None) -> None:
        self._places: list[tuple[str, Path]] = []
        if environment is None:
            return
        share = environment / "share" / "jupyter"
        places = [("static/lab/", share / "lab" / "static"), ("lab/extensions/", share / "labextensions")]
        places += [("lab/api/themes/", share / "lab" / "themes"), ("kernelspecs/", share / "kernels")]
        packages = sorted(environment.glob("lib/python3*/site-packages/jupyter_server/static"))
        places += [("static/", place) for place in packages]
        self._places = [(prefix, place.resolve()) for prefix, place in places]

    def find(self, rest: str) -> Path | None:
        """Return the file that a static route means, None when there is none.

        Only files of the front end are found, whatever the path says.
        """
        for prefix, place in self._places:
            if not rest.startswith(prefix):
                continue
            path = (place / rest.removeprefix(prefix)).resolve()
            if prefix == "kernelspecs/" and path.suffix not in {".png", ".svg"}:
                return None
            return path if path.is_relative_to(place) and path.is_file() else None
        return None
