"""The approved list refuses what is not pinned, hashed and licensed; the change of environments is one step."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace_kit import ROOT

from sandbox.workspaces.environment.packages import (
    Installed,
    Lists,
    check_hashed,
    list_installed,
    parse_approved,
    parse_pinned,
    switch,
)
from shuzha.core.errors import Invalid

HASH = "--hash=sha256:" + "a" * 64
OTHER = "--hash=sha256:" + "b" * 64


def lists_in(folder: Path, **files: str) -> Lists:
    for name, text in files.items():
        (folder / name.replace("__", ".").replace("_", "-")).write_text(text)
    return Lists(folder)


def test_packages_are_told_apart_by_list_with_licence_purpose_and_hashes(tmp_path: Path) -> None:
    lists = lists_in(
        tmp_path,
        sandbox__in="# base\nnumpy==2\n",
        sandbox__txt=f"numpy==2.0 \\\n    {HASH} \\\n    {OTHER}\nwheel==1 \\\n    {HASH}\n",
        sandbox_approved__in="-c sandbox.txt\nSci_Py  # BSD-3-Clause; statistics\n",
        sandbox_approved__txt=(
            f"numpy==2.0 \\\n    {HASH}\nsci-py==1.1 ; python_version < '3.12' \\\n    {HASH}\n"
            f"sci-py==1.2 ; python_version >= '3.12' \\\n    {OTHER}\n"
        ),
    )
    found = {
        one.name: one for one in lists.packages({"sci-py": Installed("1.2", "?"), "numpy": Installed("2.0", "BSD")})
    }
    assert {name: one.set for name, one in found.items()} == {
        "numpy": "base",
        "sci-py": "approved",
        "wheel": "dependency",
    }
    assert (found["sci-py"].version, found["sci-py"].installed) == ("1.2", "1.2"), "the pin of the Python in use"
    assert (found["sci-py"].licence, found["sci-py"].purpose) == ("BSD-3-Clause", "statistics")
    assert found["numpy"].licence == "BSD", "what it declares itself"
    assert found["numpy"].hashes[0] == "a" * 64
    assert found["wheel"].installed == ""


@pytest.mark.parametrize("text", ["numpy\n", "numpy==1\n", "numpy>=1 \\\n    " + HASH + "\n", "https://x/y.whl\n"])
def test_list_without_pin_or_hash_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "sandbox.txt").write_text(text)
    with pytest.raises(Invalid, match="not pinned and hashed"):
        check_hashed(tmp_path / "sandbox.txt")


@pytest.mark.parametrize("line", ["scipy", "scipy  # BSD-3-Clause", "scipy  # ; for statistics"])
def test_approved_package_says_licence_and_purpose(line: str) -> None:
    with pytest.raises(Invalid, match="says no licence or purpose: scipy"):
        parse_approved(line)


def test_digest_follows_the_lists_and_the_other_files(tmp_path: Path) -> None:
    lists = lists_in(tmp_path, sandbox__txt=f"a==1 \\\n    {HASH}\n")
    (tmp_path / "code.py").write_text("1")
    first, same = lists.digest([tmp_path / "code.py"]), lists.digest([tmp_path / "code.py"])
    (tmp_path / "code.py").write_text("2")
    assert first == same != lists.digest([tmp_path / "code.py"])
    (tmp_path / "sandbox.txt").write_text(f"a==2 \\\n    {HASH}\n")
    assert lists.digest() != first


def test_folder_in_use_is_kept_when_a_link_takes_its_place(tmp_path: Path) -> None:
    link, one, two = tmp_path / "env", tmp_path / "env-1", tmp_path / "env-2"
    for folder in (link, one, two):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    opened = (link / "name").open()
    assert switch(link, one) == tmp_path / "env-before"
    assert (link / "name").read_text() == "env-1"
    assert (tmp_path / "env-before" / "name").read_text() == opened.read() == "env"
    opened.close()
    assert switch(link, two) is None
    assert (link / "name").read_text() == "env-2"
    assert link.readlink() == Path("env-2"), "the folder may be moved with all in it"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["env", "env-1", "env-2", "env-before"]


def test_lists_of_this_repository_hold(tmp_path: Path) -> None:
    lists = Lists(ROOT / "requirements")
    found = lists.packages({})
    approved = {one.name for one in found if one.set == "approved"}
    assert approved == set(lists.approved()) != set(), "each approved package is pinned"
    assert {"polars", "numpy", "jupyterlab"} <= {one.name for one in found if one.set == "base"}
    assert all(one.hashes for one in found)
    assert not {name for name, _, _ in parse_pinned((lists.folder / "sandbox.txt").read_text())} & approved
    assert list_installed(tmp_path) == {}
