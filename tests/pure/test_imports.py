"""Every module of the package can be imported, those of the compiler and the demo included."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import re

#: names of the modules that a requirement of an extra installs, where they are not the requirement's own
MODULES = {"apache-tvm": ("tvm", "tvm_ffi"), "scikit-image": ("skimage",), "scikit-learn": ("sklearn",),
           "paho-mqtt": ("paho",), "pillow": ("PIL",)}  # fmt: skip


#: packages that stand beside this one in a checkout, and below it in a wheel
BESIDE = ("compile", "demo", "targets")


def names() -> list[str]:
    """All modules below `tsm_edge`; the rest of a checkout, which its path also holds, is none of them."""
    found = set()
    for name in ("tsm_edge", *(f"tsm_edge.{part}" for part in BESIDE)):
        found.add(name)
        folder = importlib.import_module(name).__path__[:1]
        found.update(info.name for info in pkgutil.walk_packages(folder, f"{name}.", onerror=lambda _: None))
    return sorted(name for name in found if not name.endswith(".__main__"))


def optional() -> set[str]:
    """The modules of the extras that are not installed here: the only ones that an import may miss."""
    found = set()
    for line in importlib.metadata.requires("tsm-edge") or ():
        if "extra ==" in line:
            name = re.match(r"[\w.-]+", line)[0].lower()
            found |= {*MODULES.get(name, (name.replace("-", "_"),))}
    return {name for name in found if importlib.util.find_spec(name) is None}


def test_the_walk_reaches_every_package():
    found = set(names())
    for name in ("cli", "models.clips.tsn_resnet50", "compile.schedules.cpu.attention", "demo.sinks.mqtt", "targets"):
        assert any(each.startswith(f"tsm_edge.{name}") for each in found), name
    assert "tsm_edge.tsm_edge" not in found and "tsm_edge.tests" not in found


def test_every_module_can_be_imported():
    absent, broken = optional(), {}
    for name in names():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in absent:
                broken[name] = repr(error)
        except Exception as error:  # whatever an import runs
            broken[name] = repr(error)
    assert broken == {}
