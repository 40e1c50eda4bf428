"""Hold a pin high while a gesture lasts: tsm-edge-run ... --events - | python3 pin.py PIN LABEL"""

import json
import sys

from gpiozero import LED

pin, label = LED(int(sys.argv[1])), sys.argv[2]
for line in sys.stdin:
    event = json.loads(line)
    if event["kind"] == "gesture" and event["label"] == label:
        pin.on()
    else:  # the end of a gesture, or the beginning of another one
        pin.off()
pin.off()
