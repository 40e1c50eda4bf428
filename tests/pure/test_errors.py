"""Errors: their text, their exit codes, and the neighbour they name."""

from __future__ import annotations

import re

import pytest

from tsm_edge import errors
from tsm_edge.errors import BundleError, EdgeError, UnknownName, suggest

EXIT_CODES = {
    "EdgeError": 1, "UsageError": 2, "UnknownName": 2, "CheckpointError": 1, "ModelError": 1, "ImportFailed": 1,
    "CompileError": 1, "ToolMissing": 5, "ExtraMissing": 5, "UnsupportedTarget": 5, "UnsupportedHost": 5,
    "BundleError": 3, "VerificationError": 3, "FrameError": 2, "CameraError": 4, "StreamError": 4, "VideoError": 1,
    "DisplayError": 5, "OutputError": 1, "ServeError": 1, "ServiceError": 1, "RuntimeFailure": 1, "DeviceError": 4,
    "AccuracyError": 3, "DataError": 1, "ProcessLost": 1,
    "DirectionUnknown": 2,
}  # fmt: skip


def test_exit_codes_are_the_documented_ones():
    found = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, EdgeError)
    }
    assert found == EXIT_CODES


def test_all_parts_are_shown_in_order():
    error = EdgeError("It failed.", found=3, allowed="1 or 2", hint="take 2")
    assert str(error) == "It failed.\n  found: 3\n  allowed: 1 or 2\n  hint: take 2"


def test_absent_parts_are_left_out_but_zero_is_shown():
    assert str(EdgeError("It failed.")) == "It failed."
    assert str(EdgeError("It failed.", found=0)) == "It failed.\n  found: 0"


@pytest.mark.parametrize(
    ("name", "choices", "answer"),
    [
        ("raspbery-pi-4", ["raspberry-pi-4", "x86-64"], " Did you mean 'raspberry-pi-4'?"),
        ("INSPECT", ["inspect", "verify"], " Did you mean 'inspect'?"),
        ("pi4", ["raspberry-pi-3", "raspberry-pi-4"], " Did you mean 'raspberry-pi-4'?"),
        ("zebra", ["raspberry-pi-4", "x86-64"], ""),
        ("x", ["x86-64"], ""),
        ("anything", [], ""),
    ],
)
def test_suggest(name, choices, answer):
    assert suggest(name, choices) == answer


def test_unknown_name_lists_what_is_known():
    error = UnknownName.of("model", "tsm_resnet5", ["tsm_resnet18", "tsm_resnet50"])
    assert "no model named 'tsm_resnet5'. Did you mean 'tsm_resnet50'?" in str(error)
    assert "allowed: tsm_resnet18, tsm_resnet50" in str(error)


def test_unknown_name_of_nothing_known():
    assert "no target is known" in str(UnknownName.of("target", "a", []))


def test_bundle_error_shows_its_name_and_tells_a_bad_bundle_from_a_wrong_machine():
    assert str(BundleError("Changed.", name="file-hash")) == "[file-hash] Changed."
    assert BundleError("Changed.", name="file-hash").exit_code == 3
    assert BundleError("Other machine.", name="wrong-arch").exit_code == 5


def test_every_error_has_an_identifier_of_its_own_and_a_cure():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EdgeError)]
    identifiers = [kind.identifier for kind in kinds] + list(errors.CURES)
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", each) for each in identifiers)
    assert all("cure" in vars(kind) for kind in kinds)


def test_the_report_of_an_error_begins_with_its_identifier():
    assert UnknownName.of("model", "x", ["y"]).report().startswith("error[unknown-name]: There is no model")
    assert BundleError("Changed.", name="file-hash").report() == "error[file-hash]: Changed."
    assert BundleError("Changed.", name="file-hash").to_json()["identifier"] == "file-hash"
