"""Does the shop's orders, one after the other; each takes a while."""

import json
import os
import time
import urllib.error
import urllib.request

WORK_SECONDS = 1.5

while True:
    try:
        with urllib.request.urlopen(urllib.request.Request(os.environ["SHOP"] + "/take", method="POST")) as answer:
            order = json.load(answer)["order"]
    except urllib.error.URLError:
        # None waits, or the shop is not open yet.
        time.sleep(0.5)
        continue
    time.sleep(WORK_SECONDS)
    print(f"order {order} is done", flush=True)
