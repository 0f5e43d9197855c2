"""Writes what fuzzing begins with: messages, captures, inventories and playbooks as they really are. seeds.py DIRECTORY"""

import pathlib
import subprocess
import sys
import zipfile

BETWEEN = b"\xff\n\xff"
ROOT = pathlib.Path(__file__).resolve().parent.parent


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """The length-delimited fields of a message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 2:
            length, at = varint(data, at)
            yield key >> 3, data[at : at + length]
            at += length
        else:
            at = varint(data, at)[1] if key & 7 == 0 else at + (8 if key & 7 == 1 else 4)


def evidence(path):
    """The updates and the details of every target of a capture."""
    with zipfile.ZipFile(path) as capture:
        for name in capture.namelist():
            if name.endswith("evidence.pb"):
                messages = [dict(fields(record)) for _, record in fields(capture.read(name))]
                yield [m[2] for m in messages if 2 in m], [m[4] for m in messages if 4 in m]


def main(corpus):
    def seed(target, name, data):
        place = pathlib.Path(corpus, target)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"seed-{name}").write_bytes(data)

    captures = [*(ROOT / "tests/fixtures/captures").iterdir(), ROOT / "tests/fixtures/fleet.fdcap"]
    read = [path for path in captures if zipfile.is_zipfile(path)]
    for path in captures:
        if path.stat().st_size < 1 << 16:
            seed("capture", path.name, path.read_bytes())
        for number, (updates, details) in enumerate(evidence(path) if path in read else []):
            for end in (1, 2, len(updates)):
                seed("updates", f"{path.stem}-{number}-{end}", BETWEEN.join(updates[:end])[: 1 << 16])
            small = min(updates, key=len)
            for at, message in enumerate(details):
                seed("details", f"{path.stem}-{number}-{at}", BETWEEN.join([small, message])[: 1 << 16])
    for path in (ROOT / "tests/inventories").rglob("*"):
        if path.is_file():
            seed("inventory", path.name, path.read_bytes())
    for path in (ROOT / "playbooks").rglob("*.y*ml"):
        seed("playbook", path.name, path.read_bytes())
    scripts = ROOT / "src/collect/scripts"
    facts = subprocess.run(["sh", scripts / "process.sh", "pid", "1", "0"], capture_output=True, check=True)
    seed("server", "facts", facts.stdout)
    seed("server", "health", b"curl 200 0.012\nwget 1.00 1.20\n  HTTP/1.1 503 Unavailable\n")
    seed("server", "log", b'{"level":"error"}\n\x1b[31mERROR\x1b[0m relay: late\n<3>level=warn\n')


main(sys.argv[1])
