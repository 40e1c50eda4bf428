"""The pages of docs/ as a site: every link between them is there, and every name of the API."""

from __future__ import annotations

import subprocess
import sys


def test_the_site_is_built_without_a_warning(repository, tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(repository / "docs"), str(tmp_path / "site")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    assert 'id="tsm_edge.runtime.Model"' in page and 'id="tsm_edge.errors.BundleError"' in page
    assert "docs/demo.html" not in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
