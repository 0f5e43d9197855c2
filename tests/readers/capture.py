"""Reads a capture by docs/capture-format.md alone, with the standard library and `protoc`, and prints what is in it as JSON."""

import json
import re
import subprocess
import sys
import zipfile


def decoded(evidence, protos):
    command = ["protoc", "-I", "docs", "-I", protos, "--decode", "fleetdiag.capture.Evidence", "capture.proto"]
    return subprocess.run(command, input=evidence, stdout=subprocess.PIPE, check=True).stdout.decode()


def fields(lines):
    """The text that protoc prints as a list of (name, value); messages are lists again."""
    found = []
    for line in lines:
        line = line.strip()
        if line == "}":
            break
        if line.endswith("{"):
            found.append((line[:-1].strip(), fields(lines)))
        else:
            name, value = line.split(": ", 1)
            found.append((name, value))
    return found


def every(message, *path):
    found = [message]
    for name in path:
        found = [value for inner in found for key, value in inner if key == name]
    return found


def observed(evidence, protos):
    records = every(fields(iter(decoded(evidence, protos).splitlines())), "records")
    tasks, locations = {}, set()
    for record in records:
        for task in every(record, "update", "task_update", "new_tasks"):
            number = every(task, "id", "id")[0]
            tasks[number] = task
            for location in every(task, "location"):
                values = dict(location)
                file = json.loads(values["file"])
                locations.add((file, int(values.get("line", 0)), int(values.get("column", 0))))
    return {"records": len(records), "tasks": len(tasks), "locations": sorted(locations)}


def read(path, protos):
    with zipfile.ZipFile(path) as capture:
        names = set(capture.namelist())
        manifest = json.loads(capture.read("manifest.json"))
        assert manifest["format"] == "fleetdiag-capture" and manifest["version"] == 1
        targets = []
        for number, target in enumerate(manifest["targets"]):
            place = f"targets/{number:05}/"
            found = {"id": target["id"]["host"]}
            if place + "outcome.json" not in names:
                found["failed"] = "capture-incomplete"
            else:
                outcome = json.loads(capture.read(place + "outcome.json"))["outcome"]
                if "failed" in outcome:
                    found["failed"] = outcome["failed"]["reason"]
                else:
                    found.update(observed(capture.read(place + "evidence.pb"), protos))
            targets.append(found)
        end = json.loads(capture.read("end.json")) if "end.json" in names else {"interrupted": True}
        return {"started": manifest["started"], "interrupted": end["interrupted"], "targets": targets}


print(json.dumps(read(*sys.argv[1:])))
