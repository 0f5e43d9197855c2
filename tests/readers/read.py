"""Reads a report with a tool that is not ours, and prints as JSON what that tool understood."""

import json
import sys


def sarif(text, schema):
    import jsonschema

    log = json.loads(text)
    with open(schema, encoding="utf-8") as file:
        jsonschema.Draft7Validator(json.load(file)).validate(log)
    results = log["runs"][0]["results"]
    rules = {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]}
    return {
        "rules": sorted({result["ruleId"] for result in results} - rules),
        "uris": [
            location["physicalLocation"]["artifactLocation"]["uri"]
            for result in results
            for location in result["locations"]
            if "physicalLocation" in location
        ],
        "states": [result.get("baselineState") for result in results],
        "fingerprints": [result["partialFingerprints"]["primaryLocationLineHash"] for result in results],
    }


def document(text, schema):
    import jsonschema

    with open(schema, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return {"errors": [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(json.loads(text))]}


def junit(text):
    import junitparser

    report = junitparser.JUnitXml.fromstring(text.encode())
    return {
        "suites": {suite.name: len(list(suite)) for suite in report},
        "failures": report.failures,
        "errors": report.errors,
        "skipped": report.skipped,
        "texts": [result.text or "" for suite in report for case in suite for result in case.result],
    }


def openmetrics(text):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    return [
        [sample.name, sample.labels, sample.value]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def markdown(text):
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    kinds, rows, columns = set(), 0, set()
    cells = 0
    for token in tokens:
        kinds.add(token.type)
        kinds.update(child.type for child in token.children or [])
        cells = 0 if token.type == "tr_open" else cells + (token.type in ("td_open", "th_open"))
        if token.type == "tr_close":
            rows += 1
            columns.add(cells)
    return {"kinds": sorted(kinds), "rows": rows, "columns": sorted(columns)}


def recipes(text, *files):
    """Runs every SQL block of a page over each of the files, and compares the files' rows."""
    import re

    import duckdb

    found = []
    for rows in files:
        answers = []
        for recipe in re.findall(r"```sql\n(.*?)```", text, re.S):
            answer = duckdb.sql(recipe.rstrip().rstrip(";").replace("sites.parquet", rows))
            answers.append({"columns": answer.columns, "rows": [list(map(str, row)) for row in answer.fetchall()]})
        all_rows = duckdb.sql(f"FROM '{rows}'")
        found.append({"answers": answers, "columns": dict(zip(all_rows.columns, map(str, all_rows.types)))})
    one, other = (f"(SELECT * REPLACE (run::TIMESTAMPTZ AS run) FROM '{rows}')" for rows in files)
    differing = [
        list(map(str, row))
        for (left, right) in ((one, other), (other, one))
        for row in duckdb.sql(f"FROM {left} EXCEPT ALL FROM {right}").fetchall()
    ]
    return {"found": found, "differing": differing, "rows": duckdb.sql(f"SELECT count(*) FROM {one}").fetchall()[0][0]}


if __name__ == "__main__":
    kind, *extra = sys.argv[1:]
    print(json.dumps(globals()[kind](sys.stdin.read(), *extra)))
