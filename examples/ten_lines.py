"""Print the gestures that a camera sees: python ten_lines.py BUNDLE [CAMERA OR FILE]. Needs opencv-python."""

import sys

import cv2

import tsm_edge

with tsm_edge.open(sys.argv[1]) as model:
    source = sys.argv[2] if len(sys.argv) > 2 else "0"
    camera = cv2.VideoCapture(int(source) if source.isdigit() else source)
    stream, sampler, smoother = model.stream(), model.sampler(), model.smoother()
    while (read := camera.read())[0]:
        for _ in range(sampler.take(camera.get(cv2.CAP_PROP_POS_MSEC) / 1000)):  # mostly 0 or 1
            decision = smoother.push(stream.step(read[1]))
            if decision.changed and not decision.idle:
                print(decision.label, decision.probability, flush=True)
