"""Pillow's side of resize.lua: python resize.py [SIDE] [SECONDS]; prints "us BEST MEDIAN COUNT"."""
import os
import sys
import time

from PIL import Image

side = int(sys.argv[1]) if len(sys.argv) > 1 else 32
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 3
pictures = [Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)) for _ in range(100)]
times = []
stop = time.perf_counter() + seconds
while time.perf_counter() < stop:
    begun = time.perf_counter()
    for picture in pictures:
        picture.resize((224, 224), Image.Resampling.BILINEAR)
    times.append((time.perf_counter() - begun) / len(pictures) * 1e6)
times.sort()
print(f"us {times[0]:.2f} {times[(len(times) + 1) // 2 - 1]:.2f} {len(times)}")
